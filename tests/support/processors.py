"""Processors in Python, one of each kind, as tests write them into files."""

from __future__ import annotations

ALLSPARK = """
    import allspark

    class Greeter(allspark.BaseProcessor):
        def initialize(self):
            self.greeting = b"hello "
            allspark.default_properties().put("rpc.keepalive", "60000")

        def process(self, data):
            assert type(data) is bytes
            return self.greeting + data, 200

    if __name__ == "__main__":
        runner = Greeter(worker_threads=10, worker_processes=2)
        runner.run()
        print("after run")
"""
NATIVE = """
    import eas_sdk

    class Upper(eas_sdk.Processor):
        def initialize(self, model_entry, model_config):
            self.model = model_entry + "|" + model_config

        def process(self, request):
            if request.path == "/model":
                return self.model
            return eas_sdk.Response(bytes(request.body).upper(), 201, {"Content-Type": "text/plain"})

        def close(self):
            print("closed")
"""
