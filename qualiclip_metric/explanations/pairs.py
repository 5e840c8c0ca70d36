"""Choose antonym pairs by index or by text, and name them."""

from qualiclip_metric.metric import QualiCLIP
from qualiclip_metric.prompts import pair_name


def names(metric: QualiCLIP) -> tuple[str, ...]:
    """Name each antonym pair: "Sharp/Blurry image", or "pair 1" where its text is unknown."""
    if metric.pairs:
        return tuple(pair_name(pair) for pair in metric.pairs)
    return tuple(f"pair {number}" for number in range(1, len(metric.prompts) + 1))


def chosen(metric: QualiCLIP, pair: int | str | None) -> tuple[int, ...]:
    """Find the antonym pairs that are asked, by index, name or one text; all for None.

    Raises ValueError, with the pairs that there are, for another one.
    """
    count = len(metric.prompts)
    if pair is None:
        return tuple(range(count))
    if isinstance(pair, str):
        found = [index for index, texts in enumerate(_texts(metric)) if _plain(pair) in texts]
        if len(found) == 1:
            return tuple(found)
    elif not isinstance(pair, bool) and 0 <= pair < count:
        return (int(pair),)
    known = ", ".join(f"{index} {name!r}" for index, name in enumerate(names(metric)))
    raise ValueError(f"pair: expected an index or a name of {known}; got {pair!r}")


def _texts(metric: QualiCLIP) -> list[set[str]]:
    """Names and texts by which each pair is found."""
    texts = metric.pairs or ((),) * len(metric.prompts)
    return [
        {_plain(text) for text in (name, *pair)}
        for name, pair in zip(names(metric), texts, strict=True)
    ]


def _plain(text: str) -> str:
    return text.strip().rstrip(".").casefold()
