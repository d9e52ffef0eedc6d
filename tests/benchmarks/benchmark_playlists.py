"""Playlists and sets: probes, basket completion, diverse continuations, similar lists, the headline training run.

`make bench NAME=playlists DATA=FOLDER [ROW=...]`: mpd_popular, instacart_sample and online_retail of the folder.
"""

import sys

from tests.benchmarks.harness import main
from tests.benchmarks.playlists_baskets import baskets, completion
from tests.benchmarks.playlists_continuation import continuation, names
from tests.benchmarks.playlists_decoding import decoding
from tests.benchmarks.playlists_learned import learned
from tests.benchmarks.playlists_probes import headline, probes
from tests.benchmarks.playlists_search import similar, unseen
from tests.benchmarks.playlists_sorting import sorting

BENCHES = {
    "headline": headline,
    "probes": probes,
    "decoding": decoding,
    "baskets": baskets,
    "completion": completion,
    "continuation": continuation,
    "names": names,
    "learned": learned,
    "similar": similar,
    "unseen": unseen,
    "sorting": sorting,
}

if __name__ == "__main__":
    sys.exit(main(BENCHES))
