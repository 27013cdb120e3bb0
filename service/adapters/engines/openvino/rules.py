"""What OpenVINO may be tried on: a list of operations that it computes as TensorFlow does, and types that it keeps.

Some operations it takes and answers wrongly, or without the check that TensorFlow makes: assertions, variables that a
call changes, ``Unique``, ``Xdivy``, random numbers, printing. So what is not on the list here is not tried at all;
what is on it has to pass the trial as well.
"""

from __future__ import annotations

from service.adapters.engines.openvino import loops
from service.adapters.engines.saved_model_files import SavedModelFile
from service.domain.tensors import Signature

_STRUCTURE = """
    Placeholder PlaceholderWithDefault Const Identity IdentityN NoOp StopGradient PreventGradient Snapshot
    VarHandleOp ReadVariableOp Variable VariableV2 PartitionedCall StatefulPartitionedCall
    If StatelessIf While StatelessWhile Merge Switch Enter Exit NextIteration LoopCond
    TensorListReserve TensorListFromTensor TensorListGetItem TensorListSetItem TensorListStack TensorListLength
    TensorListPushBack TensorListPopBack EmptyTensorList TensorListConcatV2 TensorListResize
    HashTableV2 LookupTableFindV2 LookupTableSizeV2
"""
_ARITHMETIC = """
    Abs Acos Acosh Add AddV2 AddN Asin Asinh Atan Atan2 Atanh BiasAdd Ceil Cos Cosh Cumsum Erf Erfc Exp Expm1
    Floor FloorDiv FloorMod Inv Log Log1p LogSoftmax Maximum Minimum Mod Mul Neg Pow RealDiv Div DivNoNan Reciprocal
    Rint Round Rsqrt Sigmoid Sign Sin Sinh Softmax Softplus Softsign Sqrt Square SquaredDifference Sub Tan Tanh
    TruncateDiv    ClipByValue Cast Elu Selu Relu Relu6 LeakyRelu L2Loss IsNan IsInf IsFinite
    Equal NotEqual Greater GreaterEqual Less LessEqual LogicalAnd LogicalOr LogicalNot Select SelectV2
"""
_REDUCTION = """
    All Any ArgMax ArgMin Max Mean Min Prod Sum TopK TopKV2 EuclideanNorm SegmentSum UnsortedSegmentSum Bucketize
"""
_LINEAR = """
    MatMul BatchMatMul BatchMatMulV2 BatchMatMulV3 Einsum SparseTensorDenseMatMul _FusedMatMul
    Conv2D Conv3D Conv2DBackpropInput Conv3DBackpropInputV2 DepthwiseConv2dNative _FusedConv2D
    AvgPool AvgPool3D MaxPool MaxPoolV2 MaxPool3D FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3 LRN
    FFT FFT2D FFT3D IFFT IFFT2D RFFT RFFT2D IRFFT Complex Real Imag ComplexAbs
    ResizeBilinear ResizeNearestNeighbor ResizeBicubic CropAndResize
"""
_SHAPE = """
    BatchToSpaceND SpaceToBatchND SpaceToDepth DepthToSpace BroadcastArgs BroadcastTo Concat ConcatV2 ConcatOffset
    ExpandDims Fill Gather GatherV2 GatherNd ResourceGather LinSpace MirrorPad OneHot OnesLike Pack Pad PadV2 Range
    Rank Reshape Reverse ReverseV2 Roll ScatterNd Shape ShapeN Size Slice Split SplitV Squeeze StridedSlice Tile
    TensorScatterUpdate Transpose Unpack Where ZerosLike MatrixDiag MatrixBandPart InvertPermutation
"""
ALLOWED = frozenset(" ".join((_STRUCTURE, _ARITHMETIC, _REDUCTION, _LINEAR, _SHAPE)).split())

_KEPT = frozenset({"DT_FLOAT", "DT_HALF", "DT_INT8", "DT_INT16", "DT_INT32", "DT_INT64", "DT_UINT8", "DT_BOOL"})
"""Types that mean the same there. Not float64, which would be computed in 32 bits."""


def refusal(file: SavedModelFile, name: str) -> str | None:
    """Why a signature is not even tried on OpenVINO; None when it may be."""
    refused = _of_types(file.signatures[name]) or _of_operations(file.ops(name))
    if refused is None and loops.depend_on_values(file, name):
        # A trial might never end, and a call of OpenVINO's is no easier to give up than one of TensorFlow's.
        return "how long a loop goes on depends on the values that are sent"
    return refused


def _of_types(signature: Signature) -> str | None:
    if not signature.inputs:
        return "it takes no input"
    for alias, spec in signature.inputs.items():
        if spec.dtype not in _KEPT:
            return f"input {alias!r} is {spec.dtype}"
        if spec.shape is None:
            return f"input {alias!r} may have any rank"
    for alias, spec in signature.outputs.items():
        if spec.dtype not in _KEPT | {"DT_STRING"}:
            return f"output {alias!r} is {spec.dtype}"
        if not spec.graph_name:
            return f"output {alias!r} is no plain tensor"
    return None


def _of_operations(ops: frozenset[str]) -> str | None:
    strange = sorted(ops - ALLOWED)
    if not strange:
        return None
    more = f" and {len(strange) - 3} more" if len(strange) > 3 else ""
    return f"not on the list of operations known to agree: {', '.join(strange[:3])}{more}"
