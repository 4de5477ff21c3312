"""PMML documents: written from fitted scikit-learn models, and one by hand with a column of every type."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from xml.sax.saxutils import quoteattr

_HEAD = '<PMML xmlns="http://www.dmg.org/PMML-4_4" version="4.4"><Header/>'


def tree_pmml(tree: Any, names: Sequence[str], target: str) -> str:
    """A ``DecisionTreeClassifier`` whose classes are texts; outputs are ``p_<class>``."""
    classes = [str(one) for one in tree.classes_]
    outputs = "".join(
        f'<OutputField name="p_{one}" optype="continuous" dataType="double" feature="probability"'
        f" value={quoteattr(one)}/>"
        for one in classes
    )
    nodes = "".join(_node(tree.tree_, 0, names, classes, "<True/>"))
    return (
        f"{_HEAD}{_dictionary(names, target, classes)}"
        '<TreeModel functionName="classification" splitCharacteristic="binarySplit">'
        f"{_schema(names, target)}<Output>{outputs}</Output>{nodes}</TreeModel></PMML>"
    )


def _node(tree: Any, at: int, names: Sequence[str], classes: Sequence[str], predicate: str) -> Iterator[str]:
    shares = [float(share) for share in tree.value[at][0]]
    best = classes[shares.index(max(shares))]
    yield f'<Node id="{at}" score={quoteattr(best)} recordCount="{tree.n_node_samples[at]}">{predicate}'
    left, right = int(tree.children_left[at]), int(tree.children_right[at])
    if left < 0:
        for name, share in zip(classes, shares, strict=True):
            yield (
                f"<ScoreDistribution value={quoteattr(name)} "
                f'recordCount="{float(share * tree.n_node_samples[at])!r}" probability="{share!r}"/>'
            )
    else:
        for child, operator in ((left, "lessOrEqual"), (right, "greaterThan")):
            split = (
                f'<SimplePredicate field="{names[tree.feature[at]]}" operator="{operator}" '
                f'value="{float(tree.threshold[at])!r}"/>'
            )
            yield from _node(tree, child, names, classes, split)
    yield "</Node>"


def linear_pmml(line: Any, names: Sequence[str], target: str) -> str:
    """A ``LinearRegression``."""
    terms = "".join(
        f'<NumericPredictor name="{name}" coefficient="{float(weight)!r}"/>'
        for name, weight in zip(names, line.coef_, strict=True)
    )
    return (
        f'{_HEAD}{_dictionary(names, target)}<RegressionModel functionName="regression">'
        f"{_schema(names, target)}"
        f'<RegressionTable intercept="{float(line.intercept_)!r}">{terms}</RegressionTable>'
        "</RegressionModel></PMML>"
    )


def _dictionary(names: Sequence[str], target: str, classes: Sequence[str] = ()) -> str:
    fields = "".join(f'<DataField name="{name}" optype="continuous" dataType="double"/>' for name in names)
    values = "".join(f"<Value value={quoteattr(one)}/>" for one in classes)
    kind = 'optype="categorical" dataType="string"' if classes else 'optype="continuous" dataType="double"'
    return f'<DataDictionary>{fields}<DataField name="{target}" {kind}>{values}</DataField></DataDictionary>'


def _schema(names: Sequence[str], target: str) -> str:
    fields = "".join(f'<MiningField name="{name}"/>' for name in names)
    return f'<MiningSchema>{fields}<MiningField name="{target}" usageType="target"/></MiningSchema>'


MIXED = f"""{_HEAD}
<DataDictionary>
  <DataField name="age" optype="continuous" dataType="double"/>
  <DataField name="visits" optype="continuous" dataType="integer"/>
  <DataField name="city" optype="categorical" dataType="string"/>
  <DataField name="vip" optype="categorical" dataType="boolean"/>
  <DataField name="y" optype="continuous" dataType="double"/>
</DataDictionary>
<RegressionModel functionName="regression">
  <MiningSchema>
    <MiningField name="age"/><MiningField name="visits"/><MiningField name="city"/><MiningField name="vip"/>
    <MiningField name="y" usageType="target"/>
  </MiningSchema>
  <Output>
    <OutputField name="r_age" optype="continuous" dataType="double" feature="transformedValue">
      <FieldRef field="age"/></OutputField>
    <OutputField name="r_visits" optype="continuous" dataType="integer" feature="transformedValue">
      <FieldRef field="visits"/></OutputField>
    <OutputField name="r_city" optype="categorical" dataType="string" feature="transformedValue">
      <FieldRef field="city"/></OutputField>
    <OutputField name="r_vip" optype="categorical" dataType="boolean" feature="transformedValue">
      <FieldRef field="vip"/></OutputField>
  </Output>
  <RegressionTable intercept="0">
    <NumericPredictor name="age" coefficient="1"/><NumericPredictor name="visits" coefficient="1"/>
  </RegressionTable>
</RegressionModel></PMML>
"""
"""The sum of age and visits; its outputs echo the inputs."""
