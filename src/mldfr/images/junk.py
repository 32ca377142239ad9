"""Names of files and folders that systems and programs leave among a user's own: copies, thumbnails, indexes."""

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path

NAMES = frozenset(
    {
        *("$recycle.bin", "recycler", "recycled", "system volume information", "lost+found"),
        *("thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini"),  # Windows
        *("__macosx", "icon\r", "network trash folder", "temporary items"),  # macOS
        *("@eadir", "#recycle", "#snapshot", "@recycle", "@recently-snapshot", "@__thumb", "@tmp"),  # network drives
        *("lost.dir", "thevolumesettingsfolder", "_thumbs"),  # phones, FAT disks, galleries
        *("__pycache__", "node_modules", "cvs", "_vti_cnf", "_vti_pvt", "_gsdata_"),
    }
)
PATTERNS = ("~$*", "#*#", "~syncthing~*", "appdata_oc*", "found.[0-9][0-9][0-9]", "*.lrdata", "*.cocatalogdb")
"""Lock files of office programs, what Emacs saves by itself, half-synchronized files, caches of Nextcloud, pieces that
chkdsk found, previews of Lightroom and Capture One."""


def is_junk(name: str) -> bool:
    """Whether what is called so is nobody's data.

    Names that begin with a dot are among them: so are hidden the checkpoints of Jupyter, the trash, thumbnails,
    repositories, what synchronizing keeps, and the AppleDouble file `._cat.jpg` beside a `cat.jpg`.

    Args:
        name: Of a file or a folder, without the folders above it.
    """
    folded = name.casefold()
    return name.startswith(".") or folded in NAMES or any(fnmatchcase(folded, pattern) for pattern in PATTERNS)


def without_junk(paths: Iterable[Path], root: Path) -> Iterator[Path]:
    """Those of the paths below `root` that are not junk and lie in none; what `root` is called does not matter."""
    return (path for path in paths if not any(map(is_junk, path.relative_to(root).parts)))


def is_apple_double(path: Path) -> bool:
    """Whether a file holds what macOS keeps of another one, by its first bytes.

    It tells where names do not: annotations may well be those of a picture whose name begins with a dot.
    """
    with path.open("rb") as file:
        return file.read(4) == b"\0\5\x16\7"
