"""`python -m monai_brain` is `monai-brain`."""

import sys

from monai_brain.cli import main

if __name__ == "__main__":
    sys.exit(main())
