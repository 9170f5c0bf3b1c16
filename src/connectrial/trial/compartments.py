"""Published compartment models of ketamine, as data: parameters, flows, sources, caveats.

A model is a list of compartments and of flows between them. A flow's parameter is a clearance
(L/h: amount per hour = clearance x concentration at its source) or a rate constant (1/h or 1/min);
doses go into the compartment ``central``. From that follows the matrix of a linear system, which
:mod:`connectrial.trial.pharmacokinetics` solves exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from connectrial.data import FloatArray
from connectrial.errors import InputError, did_you_mean

REFERENCE_WEIGHT_KG = 70.0
#: What the default model assumes of the racemate; printed wherever it is used.
_S_FOR_RACEMATE = (
    "a model of S-ketamine is used for racemic (total) ketamine: R-ketamine is taken to behave as "
    "S-ketamine does, although its clearance is lower"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter of a model.

    Attributes
    ----------
    value : float
        Typical value at 70 kg.
    unit : str
        ``L``, ``L/kg``, ``L/h``, ``1/h`` or ``1/min``.
    weight_exponent : float
        Exponent of (weight / 70 kg); a value in ``L/kg`` is multiplied by the weight instead.
    """

    value: float
    unit: str
    weight_exponent: float = 0.0

    def at(self, weight_kg: float) -> float:
        """Return the value for a weight, in L, L/h or 1/h."""
        factor = {"L/kg": weight_kg, "1/min": 60.0}.get(self.unit, 1.0)
        return float(
            self.value * factor * (weight_kg / REFERENCE_WEIGHT_KG) ** self.weight_exponent
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """Drug that goes from one compartment to another, or out (`target` None)."""

    source: str
    target: str | None
    by: str
    both_ways: bool = False


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class CompartmentModel:
    """A published model of ketamine in blood.

    Attributes
    ----------
    name, title : str
        Key, and the model in words.
    drug, matrix, population : str
        What was given, where it was measured, in whom.
    parameters : mapping of str to Parameter
        Volumes, clearances and rate constants.
    volumes : mapping of str to str
        Volume parameter of each compartment whose concentration or clearance is used.
    compartments : tuple of str
        In order; ``central`` first.
    flows : tuple of Flow
        Between them.
    norketamine : str or None
        Compartment that holds norketamine.
    variability : tuple of (tuple of str, tuple of tuple of float)
        Blocks of parameters with their log-scale covariances between people.
    clearance : str or None
        The parameter that is the elimination clearance (or its rate constant); None where several
        make it together.
    assumption : str
        What using the model for racemic ketamine in patients assumes; printed with every result.
    cautions : tuple of str
        What else a reader must know.
    source : str
        Where the values were published.
    checked : str
        What they were compared with.
    citations : tuple of str
        Keys of the references.
    """

    name: str
    title: str
    drug: str
    matrix: str
    population: str
    parameters: Mapping[str, Parameter]
    volumes: Mapping[str, str]
    compartments: tuple[str, ...]
    flows: tuple[Flow, ...]
    source: str
    checked: str
    assumption: str
    citations: tuple[str, ...]
    norketamine: str | None = None
    variability: tuple[tuple[tuple[str, ...], tuple[tuple[float, ...], ...]], ...] = ()
    clearance: str | None = None
    cautions: tuple[str, ...] = field(default=())

    def values(
        self, weight_kg: float, factors: Mapping[str, float] | None = None
    ) -> dict[str, float]:
        """Return the parameters of a person, in L, L/h and 1/h.

        Parameters
        ----------
        weight_kg : float
            Weight.
        factors : mapping of str to float, optional
            The person's multiples of the typical values.
        """
        return {
            name: one.at(weight_kg) * (factors or {}).get(name, 1.0)
            for name, one in self.parameters.items()
        }

    def matrix_of(self, values: Mapping[str, float]) -> FloatArray:
        """Return the matrix A of dx/dt = A x, amounts x in mg, time in h.

        Parameters
        ----------
        values : mapping of str to float
            As :meth:`values` returns them.

        Returns
        -------
        array, shape (n_compartments, n_compartments)
        """
        place = {name: number for number, name in enumerate(self.compartments)}
        matrix = np.zeros((len(place), len(place)))
        for flow in self.flows:
            ends = [(flow.source, flow.target)]
            ends += [(str(flow.target), flow.source)] if flow.both_ways else []
            for source, target in ends:
                rate = values[flow.by]
                if self.parameters[flow.by].unit == "L/h":
                    rate /= values[self.volumes[source]]
                matrix[place[source], place[source]] -= rate
                if target is not None:
                    matrix[place[target], place[source]] += rate
        return matrix


def _litres(value: float, exponent: float = 0.0) -> Parameter:
    return Parameter(value=value, unit="L", weight_exponent=exponent)


def _clearance(value: float, exponent: float = 0.0) -> Parameter:
    return Parameter(value=value, unit="L/h", weight_exponent=exponent)


_OTTO = CompartmentModel(
    name="otto2021",
    title="Otto 2021, the ketamine part from Fanta 2015: three compartments, norketamine in two",
    drug="S-ketamine, intravenous",
    matrix="venous plasma",
    population="48 healthy adults (Otto); 11 healthy men (Fanta)",
    parameters={
        "V1": _litres(133.0, 1.0),
        "CL": _clearance(95.2, 0.75),
        "V2": _litres(187.0),
        "Q2": _clearance(23.2),
        "V3": _litres(98.8),
        "Q3": _clearance(157.0),
        "VN": _litres(98.638, 1.0),
        "CLN": _clearance(57.72, 0.75),
        "VN2": _litres(160.04),
        "QN": _clearance(42.778),
    },
    volumes={
        "central": "V1",
        "shallow": "V3",
        "deep": "V2",
        "norketamine": "VN",
        "norketamine tissue": "VN2",
    },
    compartments=("central", "shallow", "deep", "norketamine", "norketamine tissue"),
    flows=(
        Flow(source="central", target="norketamine", by="CL"),
        Flow(source="central", target="shallow", by="Q3", both_ways=True),
        Flow(source="central", target="deep", by="Q2", both_ways=True),
        Flow(source="norketamine", target=None, by="CLN"),
        Flow(source="norketamine", target="norketamine tissue", by="QN", both_ways=True),
    ),
    norketamine="norketamine",
    variability=(
        (("V1", "CL"), ((0.084177, 0.02261), (0.02261, 0.026048))),
        (("VN", "CLN"), ((0.040426, 0.04456), (0.04456, 0.10319))),
    ),
    clearance="CL",
    assumption=_S_FOR_RACEMATE,
    cautions=(
        "all ketamine that is cleared becomes norketamine, mass for mass (no factor for the molecular "
        "weights): the norketamine volumes and clearances are apparent ones that make up for it",
    ),
    source=(
        "Otto et al 2021, Table 3 and supplementary code, doi:10.1007/s00228-021-03104-1; ketamine "
        "fixed to Fanta et al 2015, doi:10.1007/s00228-015-1826-y"
    ),
    checked="the public nlmixr2lib transcription of Otto's Table 3 and NONMEM code; all values agree",
    citations=("otto2021", "fanta2015"),
)

_KAMP = CompartmentModel(
    name="kamp2020",
    title="Kamp 2020, the fit to 14 raw data sets: three compartments",
    drug="racemic and S-ketamine, pooled",
    matrix="arterial plasma",
    population="14 raw data sets, mostly healthy adults",
    parameters={
        "V1": _litres(25.0, 1.0),
        "CL": _clearance(84.0, 0.75),
        "V2": _litres(56.0, 1.0),
        "Q2": _clearance(161.0, 0.75),
        "V3": _litres(157.0, 1.0),
        "Q3": _clearance(79.0, 0.75),
    },
    volumes={"central": "V1", "shallow": "V2", "deep": "V3"},
    compartments=("central", "shallow", "deep"),
    flows=(
        Flow(source="central", target=None, by="CL"),
        Flow(source="central", target="shallow", by="Q2", both_ways=True),
        Flow(source="central", target="deep", by="Q3", both_ways=True),
    ),
    clearance="CL",
    assumption="racemic and S-ketamine are taken to behave alike, as the pooled fit does",
    cautions=(
        "concentrations are arterial: while drug flows in they lie above those of venous samples",
        "the two venous delay compartments of the paper are left out, their values not being public",
        "variances between people are not public in a form that could be checked; none are shipped",
    ),
    source="Kamp et al 2020, doi:10.1097/ALN.0000000000003577",
    checked=(
        "two public transcriptions of the fit, which agree, and the abstract's meta-analysis (252 L and "
        "79 L/h at 70 kg; here 238 L and 84 L/h); the paper's own table was not seen"
    ),
    citations=("kamp2020",),
)

_PEREZ_RUIXO = CompartmentModel(
    name="perez-ruixo2021",
    title="Perez-Ruixo 2021: three compartments and a liver, norketamine in two",
    drug="esketamine (intranasal, oral and intravenous); the intravenous route is used here",
    matrix="venous plasma",
    population="820 adults, 256 healthy and 564 with treatment-resistant depression; not Asian, to 60 years",
    parameters={
        "VC": _litres(192.0),
        "Q1": _clearance(84.3),
        "VP1": _litres(143.0),
        "Q2": _clearance(37.6),
        "VP2": _litres(417.0),
        "QH": _clearance(151.0),
        "VH": _litres(101.0),
        "KEL": Parameter(value=1.11, unit="1/h"),
        "KMET": Parameter(value=2.77, unit="1/h"),
        "VN": _litres(70.0),
        "CLN": _clearance(38.0),
        "VN2": _litres(115.0),
        "QN": _clearance(26.1),
    },
    volumes={
        "central": "VC",
        "shallow": "VP1",
        "deep": "VP2",
        "liver": "VH",
        "norketamine": "VN",
        "norketamine tissue": "VN2",
    },
    compartments=("central", "shallow", "deep", "liver", "norketamine", "norketamine tissue"),
    flows=(
        Flow(source="central", target="shallow", by="Q1", both_ways=True),
        Flow(source="central", target="deep", by="Q2", both_ways=True),
        Flow(source="central", target="liver", by="QH", both_ways=True),
        Flow(source="liver", target=None, by="KEL"),
        Flow(source="liver", target="norketamine", by="KMET"),
        Flow(source="norketamine", target=None, by="CLN"),
        Flow(source="norketamine", target="norketamine tissue", by="QN", both_ways=True),
    ),
    norketamine="norketamine",
    # Log-scale variances from the printed coefficients of variation: log(1 + CV^2).
    variability=tuple(
        ((name,), ((float(np.log1p(cv**2)),),))
        for name, cv in {
            "VC": 0.275,
            "VP1": 0.493,
            "QH": 0.232,
            "VH": 0.346,
            "KEL": 1.20,
            "VN": 0.316,
            "CLN": 0.254,
        }.items()
    ),
    assumption=_S_FOR_RACEMATE,
    cautions=(
        "weight has no influence in this model beyond the dose in mg",
        "the paper's variance of KMET is not printed; it is taken as zero",
        "norketamine: by the printed equations its AUC comes out 1.4 to 1.6 times the paper's own Table 4, "
        "its peak within 2 %",
    ),
    source="Perez-Ruixo et al 2021, Table 3, doi:10.1007/s40262-020-00953-4",
    checked="the public nlmixr2lib transcription of Table 3; all values agree",
    citations=("perezruixo2021",),
)

_CLEMENTS = CompartmentModel(
    name="clements1981",
    title="Clements and Nimmo 1981, after 0.25 mg/kg: two compartments",
    drug="racemic ketamine, intravenous bolus",
    matrix="plasma",
    population="healthy volunteers",
    parameters={
        "V1": Parameter(value=1.7522, unit="L/kg"),
        "K10": Parameter(value=0.0109, unit="1/min"),
        "K12": Parameter(value=0.0186, unit="1/min"),
        "K21": Parameter(value=0.0137, unit="1/min"),
    },
    volumes={"central": "V1"},
    compartments=("central", "tissue"),
    flows=(
        Flow(source="central", target=None, by="K10"),
        Flow(source="central", target="tissue", by="K12"),
        Flow(source="tissue", target="central", by="K21"),
    ),
    clearance="K10",
    assumption="volunteers after a small bolus are taken to stand for patients during an infusion",
    source="Clements and Nimmo 1981, doi:10.1093/bja/53.1.27",
    checked="the public opentiva transcription, which agrees; the paper itself was not seen",
    citations=("clements1981",),
)

_DOMINO = CompartmentModel(
    name="domino1982",
    title="Domino 1982: three compartments",
    drug="racemic ketamine, intravenous bolus of an anaesthetic dose",
    matrix="plasma",
    population="surgical patients",
    parameters={
        "V1": Parameter(value=0.063, unit="L/kg"),
        "K10": Parameter(value=0.4381, unit="1/min"),
        "K12": Parameter(value=0.5921, unit="1/min"),
        "K13": Parameter(value=0.59, unit="1/min"),
        "K21": Parameter(value=0.247, unit="1/min"),
        "K31": Parameter(value=0.0146, unit="1/min"),
    },
    volumes={"central": "V1"},
    compartments=("central", "shallow", "deep"),
    flows=(
        Flow(source="central", target=None, by="K10"),
        Flow(source="central", target="shallow", by="K12"),
        Flow(source="shallow", target="central", by="K21"),
        Flow(source="central", target="deep", by="K13"),
        Flow(source="deep", target="central", by="K31"),
    ),
    clearance="K10",
    assumption="anaesthetised patients are taken to stand for awake ones at small doses",
    source="Domino et al 1982, Anesthesia and Analgesia 61:87-92",
    checked="two public transcriptions (opentiva and another), which agree; the paper itself was not seen",
    citations=("domino1982",),
)

#: Name -> model; the first is the default.
MODELS: dict[str, CompartmentModel] = {
    one.name: one for one in (_OTTO, _KAMP, _PEREZ_RUIXO, _CLEMENTS, _DOMINO)
}
DEFAULT_MODEL = _OTTO.name


def find_model(name: str) -> CompartmentModel:
    """Return a model by its name.

    Raises
    ------
    InputError
        There is none of that name.
    """
    if name not in MODELS:
        raise InputError(
            f"model: there is no {name!r}{did_you_mean(name, list(MODELS), listing=False)}; "
            f"allowed are {', '.join(MODELS)}"
        )
    return MODELS[name]
