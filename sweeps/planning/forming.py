"""Which trials train together, as a sweep goes on: what was an array stays one."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sweeps.definition.space import Trial
from sweeps.definition.sweep_file import Fuse
from sweeps.planning.arrays import Array, form_again, form_arrays
from sweeps.planning.plan import Plan
from sweeps.planning.shares import Share

WhyApart = Callable[[Trial, Trial], str | None]


class Former:
    """Puts the trials of one sweep into arrays.

    Args:
        key: what trials must agree in to train together; ``None`` if the trainable has no such
            form.
        why_apart: of two trials, why they cannot, if that is known.

    Attributes:
        why_alone: why each trains alone, if that is so.
    """

    def __init__(
        self, fuse: Fuse, train: str, key: Callable[[Trial], str] | None, why_apart: WhyApart
    ) -> None:
        self._fuse, self._train, self._key, self._why_apart = fuse, train, key, why_apart
        self._keys: dict[str, str] = {}
        self._refused: dict[str, str] = {}
        self.why_alone: str | None = None
        if fuse == "off":
            self.why_alone = "fuse is off"
        elif key is None:
            self.why_alone = f"{train} has no array form"

    def look_at(self, trials: Sequence[Trial]) -> str | None:
        """Find what these trials must agree in; what is wrong with ``fuse``, if anything."""
        if self.why_alone or self._key is None:
            return None
        for trial in trials:
            if trial.id not in self._keys:
                try:
                    self._keys[trial.id] = self._key(trial)
                except Exception as error:  # the user's fuse_key refuses it, with its reason
                    self._refused[trial.id] = str(error)
                    self._keys[trial.id] = f"alone {trial.id}"
        if len(self._refused) < len(self._keys) or not self._keys:
            return None
        self.why_alone = next(iter(self._refused.values()))
        if self._fuse == "auto":
            return None
        return f"fuse: must be auto or off for {self._train}, got {self._fuse}: {self.why_alone}"

    def form(self, plan: Plan, share: Share, formed: Mapping[str, Any]) -> list[Array]:
        """Arrays as they were before, where they go on; new ones for the rest.

        What has failed is tried again alone, so that it takes nobody down. Those that go on from a
        rung are formed anew, as the others of their arrays may not, unless this is that rung's
        run again.
        """
        if self.why_alone:
            return [(trial,) for trial in plan.todo]
        unchanged = formed.get("settings") == self.settings(plan, share)
        going_on = plan.resume if unchanged else plan.interrupted
        candidates = going_on + (plan.new if unchanged else ())
        again = form_again(candidates, formed.get("arrays", ()), self._fuse, share)
        placed = {trial.id for array in again for trial in array}
        rest = [trial for trial in plan.resume + plan.new if trial.id not in placed]
        fresh = form_arrays(rest, self._fuse, share, lambda trial: self._agreed(trial, plan))
        alone = [(trial,) for trial in plan.retry]
        begun = {trial.id for trial in plan.resume}
        return sorted(again + alone + fresh, key=lambda array: array[0].id not in begun)

    def settings(self, plan: Plan, share: Share) -> dict[str, Any]:
        """What decides which trials train together."""
        found: dict[str, Any] = {
            "fuse": self._fuse,
            "share": [share.cpu, share.gpu, share.at_once],
        }
        return found | ({"round": plan.round} if plan.round else {})

    def reasons(self, arrays: Sequence[Array]) -> tuple[str | None, str | None]:
        """Why each trains alone, and what keeps arrays apart, for those for which it is so."""
        why_alone = self.why_alone
        if not why_alone and arrays and all(len(array) == 1 for array in arrays):
            why_alone = "no two of them have the same shapes and a place to share"
        apart = None if self.why_alone else self._apart(arrays)
        if apart and why_alone and len({self._keys[a[0].id] for a in arrays}) == len(arrays):
            why_alone = f"no two of them are alike: {apart}"
        return why_alone, apart

    def _agreed(self, trial: Trial, plan: Plan) -> str:
        """What the members of an array agree in: also how far they are, and are to train."""
        until = plan.until.get(trial.id)
        ends = f" {until}" if until is not None else ""
        return f"{self._keys[trial.id]} {plan.reached.get(trial.id, 0)}{ends}"

    def _apart(self, arrays: Sequence[Array]) -> str | None:
        """Why the trials of two arrays could not all be in one, if it is not for their number."""
        first = {self._keys[array[0].id]: array[0] for array in reversed(arrays)}
        if len(first) < 2:
            return None
        one, other, *_ = reversed(first.values())
        return self._why_apart(one, other)
