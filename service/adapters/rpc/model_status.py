"""``tensorflow.serving.ModelService``: which versions there are and how they are, and which models ought to be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import grpc
import grpc.aio

from service.adapters.rpc.errors import answering
from service.adapters.rpc.model_configs import serving_config
from service.adapters.rpc.prediction import reference
from service.application.registry import Registry
from service.application.reloading import Reloading
from service.domain.errors import ModelNotFound
from service.domain.versions import VersionState
from service.tensorflow_protos import get_model_status_pb2, model_management_pb2, model_service_pb2_grpc

_State = get_model_status_pb2.ModelVersionStatus.State
STATES: Mapping[VersionState, int] = {
    VersionState.NEW: _State.START,
    VersionState.LOADING: _State.LOADING,
    VersionState.LIVE: _State.AVAILABLE,
    VersionState.DRAINING: _State.UNLOADING,
    VersionState.FAILED: _State.END,
    VersionState.ENDED: _State.END,
}
_TIME_TO_ANSWER_S = 0.25
"""Of a caller's deadline, so that it learns what became of its call rather than only that it took too long."""


class ModelStatusService(model_service_pb2_grpc.ModelServiceServicer):
    """GetModelStatus and HandleReloadConfigRequest."""

    def __init__(self, models: Registry, reloads: Reloading) -> None:
        self._models, self._reloads = models, reloads

    @answering
    async def GetModelStatus(
        self, request: get_model_status_pb2.GetModelStatusRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> get_model_status_pb2.GetModelStatusResponse:
        """Every version of a model, newest first, or the one asked for."""
        ref = reference(request)
        statuses = self._models.history(ref.model)
        if not statuses:
            raise ModelNotFound(f"Could not find any versions of model {ref.model}")
        response = get_model_status_pb2.GetModelStatusResponse()
        for one in statuses:
            if ref.version not in (None, one.version):
                continue
            answer = response.model_version_status.add(version=one.version, state=STATES[one.state])
            answer.status.error_code = grpc.StatusCode.UNKNOWN.value[0] if one.error else 0
            answer.status.error_message = one.error or ""
        if not response.model_version_status:
            raise ModelNotFound(f"Could not find version {ref.version} of model {ref.model}")
        return response

    @answering
    async def HandleReloadConfigRequest(
        self, request: model_management_pb2.ReloadConfigRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> model_management_pb2.ReloadConfigResponse:
        """Replace the configured models, and answer once those that are new answer or are known not to.

        An answer says OK in its ``status`` too; an error is the call's own status, and there is no answer then.
        """
        config = serving_config(request.config, "HandleReloadConfigRequest")
        remaining = context.time_remaining()
        await self._reloads.reload(config, None if remaining is None else remaining - _TIME_TO_ANSWER_S)
        return model_management_pb2.ReloadConfigResponse(status={"error_code": 0, "error_message": ""})
