"""What a run has made, read from its files alone: metrics.json, the figures, and the trials' records and weights."""
from __future__ import annotations

import base64
import hashlib
import html
import json
import math
import os
import textwrap
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, cast, overload

from ._errors import Hw1Error, NotFoundError
from ._libraries import frame
from ._safetensors import load

_SCHEMA = 1
_DIGEST = b',"sha256":"'
# Of a run's figures so many bytes are shown as pictures in a notebook, where each output is saved with it; the page has all.
_MOST_INLINE = 1_500_000


# What a JSON file holds is checked as it is read: these are the only places that take a value's type on trust.
def _object(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _list(value: object) -> Sequence[Any]:
    return cast("Sequence[Any]", value) if isinstance(value, list) else ()


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) else math.nan


@dataclass(frozen=True)
class Trial:
    """One training, or whatever a study repeats. Label and seed together name it within its study.

    What is not finite is NaN here; metrics.csv tells inf from NaN.
    """

    study: str
    label: str
    seed: int
    fingerprint: str
    parameters: int
    scalars: Mapping[str, float]
    series: Mapping[str, Sequence[float]] = field(repr=False)


@dataclass(frozen=True)
class Claim:
    """A claim held against the numbers of its study."""

    study: str
    id: str
    statement: str
    verdict: str  # "supported", "refuted" or "inconclusive"
    detail: str  # the numbers behind the verdict, in words
    evidence: Mapping[str, Any] = field(repr=False)  # and by name
    effect_of: str | None = None  # what the effect is a number of
    effect: float | None = None
    interval: tuple[float, float] | None = None  # 95 %, of the effect; NaN where an end is not known
    n: int | None = None  # cases, such as seeds, that it rests on
    figures: tuple[str, ...] = ()
    points: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)  # the numbers it was judged by, one entry a case
    would_change: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return f"{self.verdict}: {self.statement} {self.detail}"


class Claims(Sequence[Claim]):
    """Claims in their order, shown as a table. `claims["id"]` is the one of that id."""

    def __init__(self, claims: Sequence[Claim]) -> None:
        self._claims = tuple(claims)

    def __len__(self) -> int:
        return len(self._claims)

    @overload
    def __getitem__(self, at: int | str) -> Claim: ...
    @overload
    def __getitem__(self, at: slice) -> Claims: ...

    def __getitem__(self, at: int | str | slice) -> Claim | Claims:
        if isinstance(at, slice):
            return Claims(self._claims[at])
        if isinstance(at, int):
            return self._claims[at]
        for claim in self._claims:
            if claim.id == at:
                return claim
        raise NotFoundError(f"There is no claim {at}; there are: {_listed([claim.id for claim in self._claims])}.")

    @property
    def frame(self) -> Any:
        """A DataFrame of pandas or polars, one row a claim."""
        names = ["study", "id", "verdict", "statement", "effect_of", "effect", "low", "high", "n", "detail"]
        rows = [[c.study, c.id, c.verdict, c.statement, c.effect_of, c.effect, *(c.interval or (None, None)), c.n, c.detail] for c in self]
        return frame({name: [row[at] for row in rows] for at, name in enumerate(names)}, "the claims one by one")

    def __repr__(self) -> str:
        if not self._claims:
            return "no claims"
        width = max(len(claim.verdict) for claim in self._claims)
        return "\n".join(f"{claim.verdict:{width}}  {claim.study}: {claim.statement}" for claim in self._claims)

    def _repr_html_(self) -> str:
        if not self._claims:
            return "<p>no claims</p>"
        rows = "".join(
            f'<tr><td style="text-align:left">{_mark(claim.verdict)}</td><td style="text-align:left">{html.escape(claim.study)}</td>'
            f'<td style="text-align:left">{html.escape(claim.statement)}<br><small>{html.escape(claim.detail)}</small></td></tr>'
            for claim in self._claims)
        return f"<table><thead><tr><th>verdict</th><th>study</th><th>claim</th></tr></thead><tbody>{rows}</tbody></table>"


def _mark(verdict: str) -> str:
    """A verdict, with a sign that does not rest on colour."""
    sign = {"supported": "✓", "refuted": "✗"}.get(verdict, "?")
    return f"<b>{sign} {html.escape(verdict)}</b>"


@dataclass(frozen=True)
class Figure:
    """A figure, as a picture of 200 dpi, as SVG and as the numbers that it shows. A notebook shows it inline."""

    study: str
    name: str
    title: str
    caption: str
    doubts: tuple[str, ...]  # what speaks against taking it at face value, a sentence each
    path: Path  # of the PNG file

    @property
    def svg(self) -> Path:
        return self.path.with_suffix(".svg")

    @property
    def data(self) -> Any:
        """The numbers it shows, as its JSON file has them."""
        path = self.path.with_suffix(".json")
        try:
            return json.loads(_read(path, "hw1 report makes it anew"))
        except ValueError:
            raise Hw1Error(f"{path} is damaged; hw1 report makes it anew.") from None

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        data = _read(self.path, "hw1 report makes it anew")
        # A picture of 200 dpi, at the size that it has on paper.
        return data, {"width": int.from_bytes(data[16:20], "big") * 96 // 200}

    def _repr_svg_(self) -> str:
        return _read(self.svg, "hw1 report makes it anew").decode("utf-8", "replace")


class Figures(Mapping[str, Figure]):
    """Figures by name; those of several studies as "study/name", and by the name alone where only one study has it."""

    def __init__(self, figures: Mapping[str, Figure]) -> None:
        self._figures = dict(figures)

    def __getitem__(self, name: str) -> Figure:
        found = self._figures.get(name)
        alike = [figure for figure in self._figures.values() if figure.name == name]
        if found is None and len(alike) == 1:
            found = alike[0]
        if found is None:
            what = "is a figure of several studies" if alike else "is no figure here"
            raise NotFoundError(f"{name} {what}; there are: {_listed(list(self._figures))}.")
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._figures)

    def __len__(self) -> int:
        return len(self._figures)

    def __repr__(self) -> str:
        return "\n".join(f"{name}  {figure.title}" for name, figure in self._figures.items()) or "no figures"

    def _repr_html_(self) -> str:
        return _pictures(list(self._figures.items())) or "<p>no figures</p>"


def _pictures(figures: Sequence[tuple[str, Figure]]) -> str:
    """Figures one after another, as pictures while their bytes stay within bounds, then by name."""
    parts: list[str] = []
    left_out: list[str] = []
    spent = 0
    for name, figure in figures:
        try:
            data, about = figure._repr_png_()  # pyright: ignore[reportPrivateUsage]
        except Hw1Error as error:
            parts.append(f"<p>{html.escape(str(error))}</p>")
            continue
        size = len(data) * 4 // 3
        if spent + size > _MOST_INLINE:
            left_out.append(name)
            continue
        spent += size
        picture = base64.b64encode(data).decode()
        title = html.escape(figure.title)
        words = " ".join([figure.caption, *figure.doubts])
        parts.append(f'<figure style="margin:1em 0"><img alt="{title}" width="{about["width"]}" src="data:image/png;base64,{picture}">'
                     f"<figcaption><b>{title}</b> {html.escape(words)}</figcaption></figure>")
    if left_out:
        parts.append(f"<p>Not shown here, to keep the notebook small: {html.escape(_listed(left_out))}. "
                     "<code>run.figures[name]</code> shows one.</p>")
    return "".join(parts)


@dataclass(frozen=True)
class Table:
    """The table that the command prints."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]

    def __str__(self) -> str:
        lines = [self.columns, *self.rows]
        widths = [max(map(len, column)) for column in zip(*lines)]
        text = ["  ".join([f"{cell:{'>' if at else '<'}{widths[at]}}" for at, cell in enumerate(line)]).rstrip() for line in lines]
        return "\n".join([*text, *self.notes])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{html.escape(name)}</th>" for name in self.columns)
        rows = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in self.rows)
        notes = "".join(f"<small>{html.escape(note)}</small><br>" for note in self.notes)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{notes}"


@dataclass(frozen=True)
class Page:
    """report.html, all studies on one page. A notebook shows it in a frame, and then keeps all of its bytes."""

    path: Path

    def show(self) -> None:
        """Opens it in a browser."""
        import webbrowser
        webbrowser.open(self.path.resolve().as_uri())

    def _repr_html_(self) -> str:
        text = _read(self.path, "hw1 report makes it").decode("utf-8", "replace")
        return (f'<iframe title="report" width="100%" height="800" style="border:1px solid #ccc" sandbox="allow-scripts allow-popups" '
                f'srcdoc="{html.escape(text)}"></iframe>')


class Study:
    """The results of one study: all of them are read from its folder when they are first asked for.

    What reads numbers raises Hw1Error where metrics.json is missing, damaged or of another version of hw1.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name

    @cached_property
    def raw(self) -> Mapping[str, Any]:
        """metrics.json as it is, held to its own digest."""
        path = self.path / "metrics.json"
        # As the command line has it: without its file, a study has no results yet.
        if not path.exists():
            raise Hw1Error(f"{self.name} has no results yet: {path} is missing. The run's command goes on with it, "
                           "and `hw1 report` makes results of what there is.")
        data = _read(path, "`hw1 report` makes it anew")
        again = f"`hw1 report --out {self.path.parent}` makes it anew"
        at = data.rfind(_DIGEST)
        if at >= 0:  # an older version wrote none
            digest = hashlib.sha256(data[:at] + b"}").hexdigest()
            if data[at:] != _DIGEST + digest.encode() + b'"}\n':
                raise Hw1Error(f"{path} is cut short or changed; {again}.")
        try:
            metrics = _object(json.loads(data.decode("utf-8")))
        except (ValueError, RecursionError):
            raise Hw1Error(f"{path} is cut short or damaged; {again}.") from None
        if metrics.get("schema") != _SCHEMA:
            said = f"its schema is {metrics['schema']}, this package's {_SCHEMA}" if "schema" in metrics else "it does not say its schema"
            raise Hw1Error(f"{path} cannot be read: {said}; read it with the version that wrote it, or run the study anew.")
        for name, kind in [("trials", list), ("claims", list), ("settings", dict), ("provenance", dict)]:
            if not isinstance(metrics.get(name), kind):
                raise Hw1Error(f"{path} is damaged: it has no {name}; {again}.")
        return metrics

    @property
    def experiment(self) -> str:
        """The subcommand."""
        return _text(self.raw.get("experiment"))

    @property
    def settings(self) -> Mapping[str, Any]:
        """Every setting with its value, and the preset, as settings.toml has them."""
        return {"preset": self.provenance.get("preset"), **_object(self.raw["settings"])}

    @property
    def provenance(self) -> Mapping[str, Any]:
        """Which version ran when and on what, with which command and data."""
        return _object(self.raw["provenance"])

    @property
    def failures(self) -> Mapping[str, str]:
        """Trials that failed, and why: all else is of the others alone."""
        return {_text(_object(each).get("trial")): _text(_object(each).get("why")) for each in _list(self.raw.get("failures"))}

    @property
    def missing(self) -> int:
        """Trials that have not run yet."""
        return int(_number(self.raw.get("missing", 0)))

    @property
    def table(self) -> Table:
        """What the command prints."""
        table = _object(self.raw.get("table"))
        rows = tuple(tuple(map(_text, _list(row))) for row in _list(table.get("rows")))
        return Table(tuple(map(_text, _list(table.get("columns")))), rows, tuple(map(_text, _list(table.get("notes")))))

    @cached_property
    def trials(self) -> tuple[Trial, ...]:
        """The trials in their order, with what they measured."""
        trials: list[Trial] = []
        for each in map(_object, _list(self.raw["trials"])):
            try:
                label, seed, parameters = str(each["label"]), int(each["seed"]), int(each["parameters"])
            except (KeyError, TypeError, ValueError):
                raise Hw1Error(f"{self.path / 'metrics.json'} is damaged: trial {len(trials)} lacks its label, seed or parameters; "
                               f"`hw1 report --out {self.path.parent}` makes it anew.") from None
            scalars = {name: _number(value) for name, value in _object(each.get("scalars")).items()}
            series = {name: [_number(value) for value in _list(values)] for name, values in _object(each.get("series")).items()}
            trials.append(Trial(self.name, label, seed, _text(each.get("fingerprint")), parameters, scalars, series))
        return tuple(trials)

    def metrics_records(self) -> list[dict[str, Any]]:
        """One dict a trial: study, trial, seed, fingerprint, parameters, and each scalar. Needs no library."""
        return [{"study": t.study, "trial": t.label, "seed": t.seed, "fingerprint": t.fingerprint, "parameters": t.parameters, **t.scalars}
                for t in self.trials]

    def curves_records(self) -> list[dict[str, Any]]:
        """One dict a number of a series: study, trial, seed, metric, step (from 0), value. Needs no library."""
        columns = _curves([self])
        return [dict(zip(columns, row)) for row in zip(*columns.values())]

    @cached_property
    def metrics(self) -> Any:
        """A DataFrame of pandas or polars: one row a trial, a column for each scalar."""
        return _metrics([self])

    @cached_property
    def curves(self) -> Any:
        """A DataFrame of pandas or polars: one row a number of a series; study, trial, seed, metric, step (from 0), value."""
        return frame(_curves([self]), "curves_records()")

    @cached_property
    def claims(self) -> Claims:
        claims: list[Claim] = []
        for each in map(_object, _list(self.raw["claims"])):
            ends = [_number(end) for end in _list(each.get("interval"))]
            effect, count = each.get("effect"), each.get("n")
            # An older version named one figure.
            figures = _list(each.get("figures")) or [name for name in [each.get("figure")] if name]
            claims.append(Claim(
                self.name, _text(each.get("id")), _text(each.get("statement")), _text(each.get("verdict")), _text(each.get("detail")),
                _object(each.get("evidence")), _text(each.get("effect_of")) or None, None if effect is None else _number(effect),
                (ends[0], ends[1]) if len(ends) == 2 else None, count if isinstance(count, int) else None,
                tuple(map(_text, figures)), tuple(map(_object, _list(each.get("points")))), _text(each.get("would_change")) or None))
        return Claims(claims)

    @cached_property
    def figures(self) -> Figures:
        figures: dict[str, Figure] = {}
        for each in map(_object, _list(self.raw.get("figures"))):
            name = _text(each.get("name"))
            # It becomes a path: what leads elsewhere is no figure's name.
            if not name or Path(name).name != name:
                raise Hw1Error(f"{self.path / 'metrics.json'} is damaged: {name!r} is no figure's name; "
                               f"`hw1 report --out {self.path.parent}` makes it anew.")
            figures[name] = Figure(self.name, name, _text(each.get("title")), _text(each.get("caption")),
                                   tuple(map(_text, _list(each.get("doubts")))), self.path / "figures" / f"{name}.png")
        return Figures(figures)

    def trial(self, seed: int = 0, label: str | None = None) -> Trial:
        """The trial of this seed; where there are several, of this label."""
        of_seed = [trial for trial in self.trials if trial.seed == seed]
        if not of_seed:
            raise NotFoundError(f"{self.name} has no trial of seed {seed}; its seeds are {_listed(sorted({t.seed for t in self.trials}))}.")
        found = [trial for trial in of_seed if label in (None, trial.label)]
        if not found:
            raise NotFoundError(f"{self.name} has no trial {label} of seed {seed}; there are: {_listed([t.label for t in of_seed])}.")
        if len(found) > 1:
            raise Hw1Error(f"{self.name} has {len(found)} trials of seed {seed}; say which, as label={found[0].label!r}: "
                           f"{_listed([t.label for t in found])}.")
        return found[0]

    def weights(self, seed: int = 0, label: str | None = None) -> dict[str, Any]:
        """The weights of a trial by name: "final.fc1.weight", "initial.…", "snapshot.<epoch>.…".

        numpy arrays, or where numpy is missing memoryviews of that shape and type. Raises Hw1Error where the trial keeps no
        weights, or they are not the ones that its record names.
        """
        trial = self.trial(seed, label)
        folder = self.path / "trials"
        path = folder / f"{trial.fingerprint}.json"
        again = "the run's command runs its trial again"
        try:
            record = _object(json.loads(_read(path, again)))
        except ValueError:
            raise Hw1Error(f"{path} is damaged; {again}.") from None
        digest = record.get("weights_sha256")
        if digest is None:
            raise Hw1Error(f"{self.name}: {trial.label}, seed {seed}, keeps no weights ({path} names none).")
        if not isinstance(digest, str) or len(digest) != 64 or set(digest) - set("0123456789abcdef"):
            raise Hw1Error(f"{path} is damaged: its weights_sha256 is no SHA-256; {again}.")
        names = [f"{trial.fingerprint}.{digest[:16]}.safetensors", f"{trial.fingerprint}.safetensors"]  # the second is an older version's
        file = next((folder / name for name in names if (folder / name).exists()), folder / names[0])
        data = _read(file, again)
        if hashlib.sha256(data).hexdigest() != digest:
            raise Hw1Error(f"{file} is not what its record names: it is cut short or changed; {again}.")
        return load(data, file)

    def __repr__(self) -> str:
        return f"{self.name}\n{self.table}\n" + "".join(f"Claim {claim}\n" for claim in self.claims)

    def _repr_html_(self) -> str:
        title = f"<h3>{html.escape(self.name)}</h3>"
        try:
            return title + self.table._repr_html_() + _claims_html(self.claims) + _pictures(list(self.figures.items()))  # pyright: ignore[reportPrivateUsage]
        except Hw1Error as error:
            return title + f"<p>{html.escape(str(error))}</p>"


def _claims_html(claims: Claims) -> str:
    return claims._repr_html_() if claims else ""  # pyright: ignore[reportPrivateUsage]


def _metrics(studies: Sequence[Study]) -> Any:
    records = [record for study in studies for record in study.metrics_records()]
    names = list(dict.fromkeys(name for record in records for name in record))
    return frame({name: [record.get(name, math.nan) for record in records] for name in names}, "metrics_records()")


def _curves(studies: Sequence[Study]) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {name: [] for name in ["study", "trial", "seed", "metric", "step", "value"]}
    for trial in (trial for study in studies for trial in study.trials):
        for metric, values in trial.series.items():
            for name, value in [("study", trial.study), ("trial", trial.label), ("seed", trial.seed), ("metric", metric)]:
                columns[name] += [value] * len(values)
            columns["step"] += range(len(values))
            columns["value"] += values
    return columns


class Run(Mapping[str, Study]):
    """A run directory: its studies by name, and what all of them show together.

    `run["min-ratio"]` is a study; so is `run["simulate"]`, where only one folder is of that subcommand.
    """

    def __init__(self, path: Path, studies: Sequence[str]) -> None:
        self.path = path
        self._studies = {name: Study(path / name) for name in studies}

    def __getitem__(self, name: str) -> Study:
        found = self._studies.get(name)
        if found is None:
            alike = [study for key, study in self._studies.items() if key.startswith(name + "-") and study.experiment == name]
            if len(alike) != 1:
                what = "is several studies" if alike else "is no study"
                raise NotFoundError(f"{name} {what} of {self.path}; there are: {_listed(list(self._studies))}.")
            found = alike[0]
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._studies)

    def __len__(self) -> int:
        return len(self._studies)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Run) and (self.path, list(self)) == (other.path, list(other))

    def __hash__(self) -> int:
        return hash(self.path)

    @property
    def studies(self) -> list[Study]:
        return list(self._studies.values())

    @property
    def study(self) -> Study:
        """The only study."""
        if len(self._studies) != 1:
            raise Hw1Error(f"{self.path} has {len(self._studies)} studies; say which, as run[{next(iter(self._studies))!r}]: "
                           f"{_listed(list(self._studies))}.")
        return self.studies[0]

    def metrics_records(self) -> list[dict[str, Any]]:
        """One dict a trial of all studies. Needs no library."""
        return [record for study in self.studies for record in study.metrics_records()]

    def curves_records(self) -> list[dict[str, Any]]:
        """One dict a number of a series, of all studies. Needs no library."""
        return [record for study in self.studies for record in study.curves_records()]

    @cached_property
    def metrics(self) -> Any:
        """A DataFrame of pandas or polars: one row a trial, a column for each scalar, NaN where a study has it not."""
        return _metrics(self.studies)

    @cached_property
    def curves(self) -> Any:
        """A DataFrame of pandas or polars: one row a number of a series; study, trial, seed, metric, step (from 0), value."""
        return frame(_curves(self.studies), "curves_records()")

    @cached_property
    def claims(self) -> Claims:
        """The claims of all studies."""
        return Claims([claim for study in self.studies for claim in study.claims])

    @cached_property
    def figures(self) -> Figures:
        """The figures of all studies; of several studies as "study/name"."""
        alone = len(self._studies) == 1
        each = [(study.name, name, figure) for study in self.studies for name, figure in study.figures.items()]
        return Figures({name if alone else f"{study}/{name}": figure for study, name, figure in each})

    @property
    def settings(self) -> Mapping[str, Mapping[str, Any]]:
        """The settings of each study, by its name."""
        return {study.name: study.settings for study in self.studies}

    def weights(self, seed: int = 0, label: str | None = None) -> dict[str, Any]:
        """Study.weights of the only study."""
        return self.study.weights(seed, label)

    @property
    def page(self) -> Page:
        """report.html, all studies of the run directory on one page; a notebook shows it in a frame."""
        path = self.path / "report.html"
        if not path.is_file():
            raise Hw1Error(f"{self.path} has no page yet: hw1.run(\"report\", out={str(self.path)!r}) makes it.")
        return Page(path)

    def __repr__(self) -> str:
        lines = [f"{self.path}: {len(self._studies)} {'study' if len(self._studies) == 1 else 'studies'}"]
        for study in self.studies:
            try:
                about = f"{len(study.raw['trials'])} trials, {', '.join(_counted([claim.verdict for claim in study.claims])) or 'no claims'}"
                about += f", {study.missing} trials missing" if study.missing else ""
                about += f", {len(study.failures)} failed" if study.failures else ""
            except Hw1Error as error:
                about = str(error)
            lines.append(f"  {study.name}: {about}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """Claims and figures, and the way to the page. The page itself, up to 5 MB, is not put into every output: `run.page` does."""
        parts = [f"<h3>{html.escape(str(self.path))}</h3>"]
        if len(self._studies) == 1:
            return parts[0] + self.studies[0]._repr_html_() + self._page_html()  # pyright: ignore[reportPrivateUsage]
        claims: list[Claim] = []
        cited: list[tuple[str, Figure]] = []
        others: list[tuple[str, Figure]] = []
        for study in self.studies:
            try:
                claims += study.claims
                shown = {name for claim in study.claims for name in claim.figures}
                for name, figure in study.figures.items():
                    (cited if name in shown else others).append((f"{study.name}/{name}", figure))
            except Hw1Error as error:
                parts.append(f"<p>{html.escape(study.name)}: {html.escape(str(error))}</p>")
        # What claims rest on comes first, as there may not be room for all.
        return "".join(parts) + _claims_html(Claims(claims)) + self._page_html() + _pictures(cited + others)

    def _page_html(self) -> str:
        path = self.path / "report.html"
        if not path.is_file():
            return ""
        # A server shows files below where it is by their relative paths alone.
        relative = os.path.relpath(path)
        link = path.resolve().as_uri() if relative.startswith("..") else urllib.parse.quote(relative)
        return (f'<p>All of it on one page: <a href="{html.escape(link)}" target="_blank">{html.escape(str(path))}</a>, '
                "or <code>run.page</code> to see it here.</p>")


def _counted(words: Sequence[str]) -> list[str]:
    return [f"{words.count(word)} {word}" for word in dict.fromkeys(words)]


def _listed(names: Sequence[object], most: int = 40) -> str:
    text = ", ".join(map(str, names[:most])) or "none"
    return text + (f" and {len(names) - most} more" if len(names) > most else "")


def _read(path: Path, again: str) -> bytes:
    """A file's bytes. Raises Hw1Error where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise Hw1Error(f"{path} cannot be read: {error.strerror or error}; {again}.") from None


def _is_study(path: Path) -> bool:
    return (path / "metrics.json").exists() or (path / "trials").is_dir()


def open_run(path: str | os.PathLike[str], only: Sequence[str] | None = None) -> Run:
    """A run directory, or the folder of a study in it. `only` names the studies that are to be seen.

    Raises Hw1Error where there is no such folder or no study in it. A study that has no results yet raises when it is asked.
    """
    folder = Path(path)
    if not folder.is_dir():
        what = "is no folder, but a file" if folder.exists() else "does not exist"
        raise Hw1Error(f"{folder} {what}: give a run directory, such as runs/report, which `hw1 all` makes.")
    if only is not None:
        return Run(folder, only)
    if _is_study(folder):
        whole = folder.resolve()
        return Run(folder.parent if folder.name == whole.name else whole.parent, [whole.name])
    try:
        studies = sorted(each.name for each in folder.iterdir() if each.is_dir() and _is_study(each))
    except OSError as error:
        raise Hw1Error(f"{folder} cannot be read: {error.strerror or error}.") from None
    if not studies:
        raise Hw1Error(f"{folder} holds no studies: give a run directory, such as runs/report, which `hw1 all` makes"
                       f"{textwrap.shorten(_hint(folder), 200)}.")
    return Run(folder, studies)


def _hint(folder: Path) -> str:
    """A folder below that would do."""
    for each in sorted(folder.iterdir()):
        if each.is_dir() and any(_is_study(below) for below in each.iterdir() if below.is_dir()):
            return f"; {each} is one"
    return ""
