"""What one GPU has to say in a few minutes: speed, memory, boxes, Table IX and the commands (see gpu.sh)."""
