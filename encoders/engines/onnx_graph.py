"""A BERT-shaped model, its head and the pooling as one ONNX graph, for onnxruntime.

    ids int64 (length,), counted int64 (pooled positions,)  ->  scores float32 (vocabulary,)

One text at a time: nothing is padded and nothing masked. The scores of positions never exist for
the whole vocabulary: the map onto it is cut into tiles, and each is pooled before the next. With
integers, the maximum over positions is taken of the accumulated integers themselves, because all
positions share one scale, and a scale of a term that is above 0 moves no maximum.

Integers follow onnxruntime's dynamic quantisation: weights int8 with a scale for each output,
activations uint8 with a scale and zero point that each map finds for its own input.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from lexidex.index.vectors import Float32s

from ..activations import LOGARITHMS
from ..projection import Pooling
from .bert import BertWeights, Layer, Linear, Norm
from .quantisation import quantise

TILE = 1024
"""Vocabulary terms of a tile."""

_CONTRIBUTED = "com.microsoft"  # operators of onnxruntime beyond the standard
_OPSET = 20
_IR_VERSION = 10  # with the opset, what onnxruntime reads since 1.17


def bert_graph(
    weights: BertWeights, pooling: Pooling, *, int8: bool, tile: int = TILE
) -> onnx.ModelProto:
    """The graph of a model.

    Args:
        weights: of the model.
        pooling: of its scores. By the maximum, scores come out as they are; as a sum, activated.
        int8: whether maps multiply integers.
        tile: vocabulary terms at a time, at least 1.
    """
    graph = _Graph(int8)
    states = graph.embedded(weights)
    for layer in weights.layers:
        states = graph.layer(states, layer, weights.heads, weights.activation)
    states = graph.op("Gather", states, "counted", axis=0)
    states = graph.activated(graph.mapped(states, weights.transform), weights.transform_activation)
    states = graph.normed(states, weights.transform_norm)
    graph.pooled(states, weights.terms, weights.bias, pooling, tile)
    return graph.model(vocabulary=len(weights.terms))


class _Graph:
    """Nodes and constants; every method adds some and returns the name of the last one's output."""

    def __init__(self, int8: bool) -> None:
        self._int8 = int8
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def op(
        self, kind: str, *inputs: str, named: str = "", domain: str = "", **settings: Any
    ) -> str:
        """A node of one output."""
        output = named or f"value{len(self._nodes)}"
        node = helper.make_node(kind, list(inputs), [output], domain=domain, **settings)
        self._nodes.append(node)
        return output

    def ops(self, kind: str, *inputs: str, n_outputs: int, **settings: Any) -> list[str]:
        """A node of several outputs."""
        outputs = [f"value{len(self._nodes)}.{number}" for number in range(n_outputs)]
        self._nodes.append(helper.make_node(kind, list(inputs), outputs, **settings))
        return outputs

    def constant(self, array: NDArray[Any]) -> str:
        name = f"constant{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def integers(self, *numbers: int) -> str:
        return self.constant(np.array(numbers, dtype=np.int64))

    def embedded(self, weights: BertWeights) -> str:
        words = self.constant(weights.words.astype(np.float16) if self._int8 else weights.words)
        states = self.op("Gather", words, "ids", axis=0)
        if self._int8:
            states = self.floats(states)
        length = self.op("Shape", "ids")
        first = self.integers(0)
        positions = self.op("Slice", self.constant(weights.positions), first, length, first)
        return self.normed(self.op("Add", states, positions), weights.norm)

    def layer(self, states: str, layer: Layer, heads: int, activation: str) -> str:
        mixed = self.mapped(self.attended(states, layer.attention, heads), layer.mixed)
        states = self.normed(self.op("Add", states, mixed), layer.mixed_norm)
        widened = self.activated(self.mapped(states, layer.widened), activation)
        narrowed = self.mapped(widened, layer.narrowed)
        return self.normed(self.op("Add", states, narrowed), layer.narrowed_norm)

    def attended(self, states: str, attention: Linear, heads: int) -> str:
        """Attention of each head over all positions; queries come scaled."""
        all_heads = self.op(
            "Reshape", self.mapped(states, attention), self.integers(0, 3 * heads, -1)
        )
        split = self.ops("Split", all_heads, n_outputs=3, axis=1, num_outputs=3)
        queries = self.op("Transpose", split[0], perm=[1, 0, 2])
        keys = self.op("Transpose", split[1], perm=[1, 2, 0])
        values = self.op("Transpose", split[2], perm=[1, 0, 2])
        weights = self.op("Softmax", self.op("MatMul", queries, keys), axis=-1)
        seen = self.op("Transpose", self.op("MatMul", weights, values), perm=[1, 0, 2])
        return self.op("Reshape", seen, self.integers(0, -1))

    def mapped(self, states: str, linear: Linear) -> str:
        bias = self.constant(linear.bias)
        if not self._int8:
            return self.op("Add", self.op("MatMul", states, self.constant(linear.weight)), bias)
        integers, scales = quantise(linear.weight)
        return self.op(
            "DynamicQuantizeMatMul",
            states,
            self.constant(integers),
            self.constant(scales),
            "",  # weights have no zero point
            bias,
            domain=_CONTRIBUTED,
        )

    def activated(self, states: str, activation: str) -> str:
        return self.op("Relu" if activation == "relu" else "Gelu", states)

    def normed(self, states: str, norm: Norm) -> str:
        scale, shift = self.constant(norm.scale), self.constant(norm.shift)
        return self.op("LayerNormalization", states, scale, shift, axis=-1, epsilon=norm.epsilon)

    def floats(self, values: str) -> str:
        return self.op("Cast", values, to=TensorProto.FLOAT)

    def pooled(
        self, states: str, terms: Float32s, bias: Float32s, pooling: Pooling, tile: int
    ) -> None:
        """The output: scores of `terms`, pooled tile by tile."""
        tiles = [slice(first, first + tile) for first in range(0, len(terms), tile)]
        positions = self.integers(0)
        inputs = [states]
        if self._int8:
            inputs = self.ops("DynamicQuantizeLinear", states, n_outputs=3)
        pooled = []
        for part in tiles:
            weight = terms[part].T
            score = self._integer_scores if self._int8 else self._float_scores
            pooled.append(score(inputs, weight, bias[part], pooling, positions))
        self.op("Concat", *pooled, axis=0, named="scores")

    def _float_scores(
        self, inputs: list[str], weight: Float32s, bias: Float32s, pooling: Pooling, axes: str
    ) -> str:
        scores = self.op("MatMul", inputs[0], self.constant(weight))
        if pooling.sums:
            return self._summed(scores, bias, pooling, axes)
        highest = self.op("ReduceMax", scores, axes, keepdims=0)
        return self.op("Add", highest, self.constant(bias))

    def _integer_scores(
        self, inputs: list[str], weight: Float32s, bias: Float32s, pooling: Pooling, axes: str
    ) -> str:
        values, scale, zero_point = inputs
        integers, scales = quantise(weight)
        scores = self.op("MatMulInteger", values, self.constant(integers), zero_point)
        if not pooling.sums:
            scores = self.op("ReduceMax", scores, axes, keepdims=0)
        scores = self.op("Mul", self.op("Mul", self.floats(scores), scale), self.constant(scales))
        if pooling.sums:
            return self._summed(scores, bias, pooling, axes)
        return self.op("Add", scores, self.constant(bias))

    def _summed(self, scores: str, bias: Float32s, pooling: Pooling, axes: str) -> str:
        weights = self.op("Relu", self.op("Add", scores, self.constant(bias)))
        one = self.constant(np.ones(1, dtype=np.float32))
        for _ in range(LOGARITHMS[pooling.activation]):
            weights = self.op("Log", self.op("Add", weights, one))
        return self.op("ReduceSum", weights, axes, keepdims=0)

    def model(self, vocabulary: int) -> onnx.ModelProto:
        """All that was added, as a model."""
        graph = helper.make_graph(
            self._nodes,
            "lexidex",
            [
                helper.make_tensor_value_info("ids", TensorProto.INT64, ["length"]),
                helper.make_tensor_value_info("counted", TensorProto.INT64, ["counted"]),
            ],
            [helper.make_tensor_value_info("scores", TensorProto.FLOAT, [vocabulary])],
            self._constants,
        )
        opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid(_CONTRIBUTED, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)
