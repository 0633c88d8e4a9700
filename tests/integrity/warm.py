"""Imported by the process that those of `test_kills` are forked from: what a door loads once is there already.

Else the loading would fill the time before the first unit is done, and few kills would fall behind it.
"""

import torch._dynamo  # noqa: F401  the first step of an optimizer imports it

from waman.crawl.language import identify

identify("loads the model")
