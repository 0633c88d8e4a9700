import pytest

from waman.planning.chinchilla import MISPRINTED_FLOPS, MISPRINTS, TABLE, column
from waman.planning.law import PUBLISHED


@pytest.mark.parametrize(("approach", "exponent"), [(1, 0.50), (2, 0.49), (3, 0.46)])
def test_each_column_is_one_power_of_the_size_with_the_papers_exponent(approach: int, exponent: float) -> None:
    line = column(approach)
    assert round(line.parameters_exponent, 2) == exponent
    for row in TABLE:
        if (row.parameters, approach) not in MISPRINTS:
            assert line.tokens(row.parameters) == pytest.approx(row.tokens[approach - 1], rel=8e-3)


def test_operations_are_6_n_d_in_every_row_that_is_printed_right() -> None:
    for row in TABLE:
        if (row.parameters, 1) not in MISPRINTS:
            assert 6 * row.parameters * row.tokens[0] == pytest.approx(row.flops, rel=0.01)


@pytest.mark.parametrize(("approach", "here", "at_70b"), [(1, 1.4, 1.5), (2, 1.6, 1.7), (3, 3.9, 4.1)])
def test_the_row_of_67b_has_the_tokens_of_70b(approach: int, here: float, at_70b: float) -> None:
    line = column(approach)
    assert round(line.tokens(67e9) / 1e12, 1) == here
    assert round(line.tokens(70e9) / 1e12, 1) == at_70b == TABLE[3].tokens[approach - 1] / 1e12
    assert f"{at_70b}T at 70B" in MISPRINTS[67e9, approach]


def test_the_row_of_280b_does_not_fit_its_column() -> None:
    assert round(column(3).tokens(280e9) / 1e12, 1) == 20.9
    assert TABLE[5].tokens[2] == 20.1e12
    assert MISPRINTS[280e9, 3].startswith("20.1T; the column's line gives 20.9T")


def test_the_operations_of_175b_by_approach_3_lack_a_power_of_ten() -> None:
    assert 6 * 175e9 * TABLE[4].tokens[2] == pytest.approx(1.26e25)
    assert "1.26e24 FLOPs" in MISPRINTED_FLOPS


@pytest.mark.parametrize(("name", "least", "most"), [("chinchilla", 1.5, 2.3), ("chinchilla-unrounded", 1.06, 1.2)])
def test_no_printed_constants_give_the_third_column(name: str, least: float, most: float) -> None:
    """It follows a = 0.4587; the constants in the text give 0.4516, unrounded 0.4565."""
    assert column(3).parameters_exponent == pytest.approx(0.4587, abs=1e-4)
    law = PUBLISHED[name].law
    ratios = [law.optimum_of_size(row.parameters).tokens / column(3).tokens(row.parameters) for row in TABLE]
    assert least < min(ratios) < max(ratios) < most


def test_the_later_estimate_gives_the_first_two_columns_back() -> None:
    law = PUBLISHED["besiroglu"].law
    for row in TABLE[1:7]:
        assert law.optimum_of_size(row.parameters).tokens == pytest.approx(column(1).tokens(row.parameters), rel=0.25)
