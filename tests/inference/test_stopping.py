import random

from waman.inference.stopping import StopGate


def _run(stop: list[str], pieces: list[str]) -> tuple[list[str], bool]:
    gate = StopGate(stop)
    return [*(gate.add(piece) for piece in pieces), gate.finish()], gate.closed


def test_a_stop_string_ends_the_text_before_it() -> None:
    assert _run(["END"], ["abENDcd", "ef"]) == (["ab", "", ""], True)


def test_the_beginning_of_a_stop_string_is_held_back_until_it_is_none() -> None:
    assert _run(["END"], ["aE", "N", "x", "E"]) == (["a", "", "ENx", "", "E"], False)
    assert _run(["END"], ["aE", "N", "D"]) == (["a", "", "", ""], True)


def test_the_first_of_several_stop_strings_decides() -> None:
    assert _run(["xyz", "b"], ["abxyz"]) == (["a", ""], True)
    assert _run(["\n\n", "\nQ"], ["a\n", "Q: no"]) == (["a", "", ""], True)


def test_an_overlapping_beginning_is_found() -> None:
    assert _run(["aab"], ["a", "a", "a", "b"]) == (["", "", "a", "", ""], True)


def test_without_stop_strings_all_goes_through_at_once() -> None:
    assert _run([], ["a", "b"]) == (["a", "b", ""], False)


def test_whatever_the_cut_the_text_is_that_before_the_first_stop() -> None:
    draw = random.Random(0)
    for _ in range(500):
        text = "".join(draw.choice("abc") for _ in range(30))
        stop = ["".join(draw.choice("abc") for _ in range(3)) for _ in range(2)]
        cuts = sorted(draw.sample(range(31), 5))
        pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, 30], strict=True)]
        shown, closed = _run(stop, pieces)
        places = [text.find(one) for one in stop if one in text]
        assert "".join(shown) == (text[: min(places)] if places else text)
        assert closed == bool(places)
