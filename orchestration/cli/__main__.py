"""``python -m orchestration.cli`` is the ``nhmm`` command."""

import sys

from orchestration.cli.app import main

sys.exit(main())
