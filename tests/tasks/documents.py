"""Small documents for the tasks: a Python source, and prose in English and Korean."""

from waman.document import Document, document_id

SOURCE = '''\
"""Shapes on a plane."""

import math
from collections import OrderedDict, deque
from functools import partial, reduce
from os.path import join
from typing import Any


def area(width, height):
    """Return the area of a rectangle."""
    result = width * height
    if result < 0:
        raise ValueError(result)
    return result


def circumference(radius, turns=1):
    """Return the way around a circle."""
    full = 2 * math.pi * radius
    ways = deque([full] * turns)
    total = reduce(max, ways)
    return total


class Store:
    def put(self, name, shape):
        """Keep a shape under a name."""
        self.shapes = self.shapes or OrderedDict()
        self.shapes[name] = shape
        return self.shapes

    def path(self, folder, name: Any):
        """Say where a shape is kept.

        Nothing is written.
        """
        print(join(folder, name + ".shape"))
        for part in folder.split("/"):
            print(part, end=" ")
        return partial(join, folder)
'''

ENGLISH = """\
The river rose in the night and took the old bridge away. Nobody in the village had heard it go.
In the morning the children stood on the bank and looked across. Their school was on the other side of the water.
The miller brought his flat boat and a long rope. He tied the rope to the trunk of an old willow.
One after the other they crossed without a word. By noon the sun had dried their wet shoes again.
"""

KOREAN = """\
지난 밤에 강물이 불어나 낡은 다리를 쓸어 갔다. 마을 사람들은 아무도 그 소리를 듣지 못했다.
아침이 되자 아이들은 강가에 서서 건너편을 바라보았다. 학교는 강 건너 언덕 위에 있었다.
방앗간 주인은 넓은 배와 긴 밧줄을 가지고 왔다. 그는 밧줄을 늙은 버드나무에 단단히 묶어 두었다.
아이들은 한 사람씩 말없이 강을 건너 학교로 갔다. 점심때에는 젖은 신발도 햇볕에 모두 말랐다.
"""


def python(text: str = SOURCE, *, name: str = "shapes.py", group: str = "shapes") -> Document:
    """A source of code as a document."""
    return Document(document_id("github", name), text, "github", group, title="shapes", licence="PSF-2.0", origin=name)


def prose(text: str = ENGLISH, *, name: str = "river.txt", group: str = "river", language: str = "en") -> Document:
    """A page as a document."""
    return Document(document_id("web", name), text, "web", group, language=language, licence="CC0-1.0", origin=name)
