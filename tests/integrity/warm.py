"""Imported by the process that those of `test_kills` are forked from: what a door loads once is there already.

Else the loading would fill the time before the first unit is done, and few kills would fall behind it.
"""

# What would load each of them:
import numpy.ma  # noqa: F401  the first `numpy.unique`
import pyarrow.acero
import pyarrow.dataset  # noqa: F401  the first file that is read
import torch._dynamo  # noqa: F401  the first step of an optimizer

from waman.crawl.language import identify

identify("loads the model")
