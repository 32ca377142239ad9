"""The verbs as functions: what `mldfr VERB` does, with the same options and a typed result.

Each is imported without PyTorch, which it loads when it is called. Results are small frozen values that show themselves
in a notebook.
"""

from mldfr.api.annotating import Annotations as Annotations
from mldfr.api.annotating import annotate as annotate
from mldfr.api.annotating import merge as merge
from mldfr.api.evaluating import Evaluated as Evaluated
from mldfr.api.evaluating import evaluate as evaluate
from mldfr.api.fitting import FittedModel as FittedModel
from mldfr.api.fitting import fit as fit
from mldfr.api.joining import Joined as Joined
from mldfr.api.joining import join as join
from mldfr.api.loading import load as load
from mldfr.api.locating import LocatedPictures as LocatedPictures
from mldfr.api.locating import locate as locate
from mldfr.api.progress import ConsoleProgress as ConsoleProgress
from mldfr.api.progress import Progress as Progress
from mldfr.api.reporting import Report as Report
from mldfr.api.reporting import report as report
from mldfr.api.reproducing import Reproduced as Reproduced
from mldfr.api.reproducing import plan_reproduction as plan_reproduction
from mldfr.api.reproducing import reproduce as reproduce
from mldfr.api.selecting import Selected as Selected
from mldfr.api.selecting import select as select
from mldfr.api.selecting import undo_select as undo_select
from mldfr.api.training import Trained as Trained
from mldfr.api.training import plan_training as plan_training
from mldfr.api.training import train as train

__all__ = [
    "Annotations",
    "ConsoleProgress",
    "Evaluated",
    "FittedModel",
    "Joined",
    "LocatedPictures",
    "Progress",
    "Report",
    "Reproduced",
    "Selected",
    "Trained",
    "annotate",
    "evaluate",
    "fit",
    "join",
    "load",
    "locate",
    "merge",
    "plan_reproduction",
    "plan_training",
    "report",
    "reproduce",
    "select",
    "train",
    "undo_select",
]
