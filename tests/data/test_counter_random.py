import numpy as np
from scipy import stats

from fkd.data.counter_random import CounterRandom


def splitmix(state: int, count: int) -> list[int]:
    """The generator as its paper has it, one number after the other, in Python's integers."""
    numbers = []
    for _ in range(count):
        state = (state + 0x9E3779B97F4A7C15) % 2**64
        z = state
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
        numbers.append(z ^ (z >> 31))
    return numbers


def test_the_reference_gives_the_published_numbers() -> None:
    assert splitmix(1234567, 2) == [6457827717110365317, 3203168211198807973]


def test_an_items_words_are_splitmix64s() -> None:
    (start,) = splitmix(7, 1)
    items = np.array([0, 1, 12345])
    first, second = CounterRandom(7, items).words(2), CounterRandom(7, items)
    for item, words in zip(items.tolist(), first.tolist(), strict=True):
        (state,) = splitmix((start + (item - 1) * 0x9E3779B97F4A7C15) % 2**64, 1)
        assert words == splitmix(state, 2)
    one_by_one = np.concatenate([second.words(1), second.words(1)], axis=1)
    np.testing.assert_array_equal(one_by_one, first)


def test_an_item_draws_the_same_in_any_batch() -> None:
    alone, others = CounterRandom(3, np.array([8])), CounterRandom(3, np.array([5, 8, 2]))
    np.testing.assert_array_equal(alone.uniform(3)[0], others.uniform(3)[1])
    np.testing.assert_array_equal(alone.normal(2)[0], others.normal(2)[1])


def test_numbers_are_uniform_normal_and_independent() -> None:
    """Of neighbouring items, numbers and seeds: as truly random ones would be, p above 1e-3."""
    random = CounterRandom(0, np.arange(20_000))
    uniform, normal = random.uniform(2), random.normal(1)[:, 0]
    assert stats.kstest(uniform.ravel(), "uniform").pvalue > 1e-3
    assert stats.kstest(normal, "norm").pvalue > 1e-3
    other = CounterRandom(1, np.arange(20_000)).uniform(1)[:, 0]
    pairs = [(uniform[:-1, 0], uniform[1:, 0]), (uniform[:, 0], uniform[:, 1]), (uniform[:, 0], other)]
    assert all(stats.pearsonr(*pair).pvalue > 1e-3 for pair in pairs)
