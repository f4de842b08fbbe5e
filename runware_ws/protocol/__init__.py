"""The protocol without its I/O: no sockets, no clock, no randomness.

The facts on which it depends, and how far each can be trusted:

- Documented by Runware: frames from the client are arrays, frames from the service objects with
  ``data`` and ``errors``; the first frame authenticates, and names a session to resume; an answer
  has the taskUUID of its task, but its taskType may differ; an error is of one task, and often does
  not name it; the service closes a connection after 120 s without a message, and keeps results for
  120 s; a task that takes long completes and is billed, whoever waits; 429, 503 and 504 are
  transient; results are capped at 4096 x 4096 pixels.
- Documented in the OpenAPI document of Real-ESRGAN: the members of a request and their limits, and
  that a taskUUID is unique to its task.
- Seen in Runware's own SDKs and tools: the wait of 120 s for a synchronous task; a taskUUID that is
  known is refused with ``conflictTaskUUID``; ``media…`` members in place of ``image…``; the members
  ``routing`` and ``status``; further codes of errors; a dry run.
- Seen in the code of others: `getResponse` may answer with nothing for a running task; the details
  may hold the refusal of a later sending; a conflict may be raised only while the first still runs.
- Unknown: whether a replay comes, and when; how late a task may be found after it was written; how
  long a taskUUID is remembered; the largest frame; how many tasks and connections are allowed. The
  session is right under any of these (see `runware_ws.protocol.reconcile`), and the emulator can
  behave in each way (see `runware_ws.emulator.Rules`).
"""
