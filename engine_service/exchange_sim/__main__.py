"""`python -m engine_service.exchange_sim`"""

import sys

from engine_service.exchange_sim.main import main

if __name__ == "__main__":
    sys.exit(main())
