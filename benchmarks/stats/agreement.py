"""Every figure that is reported for one metric on one set of images, in one record."""

from dataclasses import asdict, dataclass

from numpy.typing import ArrayLike

from benchmarks.stats.bootstrap import Interval, interval, plcc_samples, srcc_samples
from benchmarks.stats.correlations import krcc, paired, plcc, srcc
from benchmarks.stats.logistic import fit4, fit5


@dataclass(frozen=True)
class Agreement:
    """Agreement with opinions.

    Attributes:
        n: Images.
        srcc: Spearman, with the 95% bootstrap interval ``srcc_low``..``srcc_high``.
        krcc: Kendall's tau-b.
        plcc: Pearson on raw scores, with its interval.
        plcc4: Pearson after the four-parameter logistic; NaN unless ``plcc4_status`` is usable.
        plcc5: The same with five parameters.
        rmse: Root mean squared error after the four-parameter logistic, in MOS units.
    """

    n: int
    srcc: float
    srcc_low: float
    srcc_high: float
    krcc: float
    plcc: float
    plcc_low: float
    plcc_high: float
    plcc4: float
    plcc4_status: str
    plcc5: float
    plcc5_status: str
    rmse: float

    def record(self) -> dict[str, float | str]:
        """As a row of a table."""
        return asdict(self)


def agreement(
    pred: ArrayLike, mos: ArrayLike, *, resamples: int = 10_000, seed: int = 0
) -> Agreement:
    """Compute all figures.

    Args:
        pred: Scores, higher is better.
        mos: Opinions, higher is better.
        resamples: Bootstrap resamples; 0 leaves the intervals out (NaN).
        seed: Seed of the bootstrap.

    Returns:
        The figures; NaN where one is undefined.

    Raises:
        ValueError: Shapes differ or a value is not finite.
    """
    x, y = paired(pred, mos)
    four, five = fit4(x, y), fit5(x, y)
    none = Interval(float("nan"), float("nan"))
    wanted = resamples > 0 and len(x) > 1
    s = interval(srcc_samples([x], y, resamples=resamples, seed=seed)[:, 0]) if wanted else none
    p = interval(plcc_samples(x, y, resamples=resamples, seed=seed)) if wanted else none
    return Agreement(
        n=len(x),
        srcc=srcc(x, y),
        srcc_low=s.low,
        srcc_high=s.high,
        krcc=krcc(x, y),
        plcc=plcc(x, y),
        plcc_low=p.low,
        plcc_high=p.high,
        plcc4=four.plcc,
        plcc4_status=four.status,
        plcc5=five.plcc,
        plcc5_status=five.status,
        rmse=four.rmse,
    )
