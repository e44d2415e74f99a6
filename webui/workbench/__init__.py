"""The workbench process: one job over model files (quantize, merge, split, join, edit, compare), then it ends."""
