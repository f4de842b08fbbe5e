"""The protocol without I/O: no sockets, no clock, no randomness.

The facts on which it depends, by their sources:

- Documented by Runware: frames from the client are arrays; frames from the service are objects with
  ``data`` and ``errors``. The first frame authenticates, and may name a session to resume. An
  answer has the taskUUID of its task, but its taskType may differ. An error is about one task, and
  often does not name it. The service closes a connection after 120 s without a message, and keeps
  results for 120 s. A task that takes long is completed and billed, even if no client waits for it.
  429, 503 and 504 are transient. Results have at most 4096 x 4096 pixels.
- Documented in the OpenAPI document of Real-ESRGAN: the members of a request and their limits. A
  taskUUID is unique to its task.
- Seen in Runware's own SDKs and tools: the wait of 120 s for a synchronous task; the refusal of a
  known taskUUID with ``conflictTaskUUID``; ``media…`` members instead of ``image…``; the members
  ``routing`` and ``status``; further error codes; dry runs.
- Seen in community code: `getResponse` may answer with nothing for a running task; the details may
  contain the refusal of a resend; a conflict may be raised only while the first task still runs.
- Unknown: whether and when a replay comes; how late a task is found after it was written; how long
  a taskUUID is remembered; the largest frame; the number of tasks and connections allowed. The
  session is correct for any of these (see `runware_ws.protocol.reconcile`), and the emulator can
  simulate each (see `runware_ws.emulator.Rules`).
"""
