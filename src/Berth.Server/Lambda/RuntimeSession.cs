using Microsoft.AspNetCore.Http;

namespace Berth.Server.Lambda;

/// <summary>
/// The Runtime API's state for one instance: at most one invocation at a time, which is given by the server, asked for
/// by the program and answered once. The program may ask in any order and as often as it likes; what does not fit is
/// refused. See docs/internals/lambda.md.
/// </summary>
internal sealed class RuntimeSession : IDisposable
{
    private readonly Lock gate = new();
    private readonly TaskCompletionSource ready = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly CancellationTokenSource over = new();
    private TaskCompletionSource<Invocation>? asking;
    private Invocation? given;
    private Invocation? current;
    private bool answering;
    private bool ended;

    public RuntimeSession() => Over = over.Token;

    /// <summary>Completes when the program asks for its first invocation; faults with <see cref="InitException"/> when
    /// it says that it can't.</summary>
    public Task Ready => ready.Task;

    /// <summary>The instance has ended.</summary>
    public CancellationToken Over { get; }

    /// <summary>The program gets it with its next question. It must have none.</summary>
    public void Give(Invocation invocation)
    {
        lock (gate)
        {
            if (ended)
            {
                invocation.Break("the instance has ended");
                return;
            }

            given = invocation;
            if (asking is { } question)
            {
                Take(question);
            }
        }
    }

    /// <summary>Whether the program will never get it, because it did not ask.</summary>
    public bool TakeBack(Invocation invocation)
    {
        lock (gate)
        {
            bool isMine = given == invocation;
            given = isMine ? null : given;
            return isMine;
        }
    }

    /// <summary>The program's question for an invocation.</summary>
    /// <exception cref="RuntimeRefusal">It has one unanswered, or has asked already.</exception>
    public async Task<Invocation> NextAsync(CancellationToken gone)
    {
        TaskCompletionSource<Invocation> question = new(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (gate)
        {
            if (ended || current is not null || asking is not null)
            {
                throw new RuntimeRefusal(
                    StatusCodes.Status403Forbidden, "InvalidStateTransition",
                    current is not null ? "The last invocation is not answered yet." : "This was asked already.");
            }

            asking = question;
            ready.TrySetResult();
            if (given is not null)
            {
                Take(question);
            }
        }

        await using CancellationTokenRegistration registration = gone.UnsafeRegister(
            static (state, token) =>
            {
                (RuntimeSession session, TaskCompletionSource<Invocation> question) =
                    ((RuntimeSession, TaskCompletionSource<Invocation>))state!;
                session.Forget(question, token);
            },
            (this, question));
        return await question.Task;
    }

    /// <summary>The invocation that the program begins to answer; <see cref="EndAnswer"/> must follow.</summary>
    /// <exception cref="RuntimeRefusal">It has another one or none, or answers it already.</exception>
    public Invocation BeginAnswer(string id)
    {
        lock (gate)
        {
            if (current is null || answering || current.Id != id)
            {
                throw new RuntimeRefusal(
                    StatusCodes.Status400BadRequest, "InvalidRequestID", "Invalid request ID");
            }

            answering = true;
            return current;
        }
    }

    /// <summary>The program has said all it had to: it may ask again.</summary>
    public void EndAnswer(Invocation invocation)
    {
        lock (gate)
        {
            answering = false;
            current = null;
        }

        invocation.Break("its answer broke off");
    }

    /// <summary>The program says that it can't take invocations at all.</summary>
    public void FailInit(LambdaAnswer.Failed failure)
    {
        if (!ready.TrySetException(new InitException(failure)))
        {
            throw new RuntimeRefusal(
                StatusCodes.Status403Forbidden, "InvalidStateTransition",
                "The program has asked for an invocation before: it is initialized.");
        }

        _ = ready.Task.Exception;
    }

    public void Dispose()
    {
        Invocation?[] left;
        lock (gate)
        {
            if (ended)
            {
                return;
            }

            ended = true;
            left = [given, current];
            given = null;
            asking?.TrySetCanceled();
        }

        foreach (Invocation? invocation in left)
        {
            invocation?.Break("the instance has ended");
        }

        over.Cancel();
        over.Dispose();
    }

    /// <summary>The caller holds the gate.</summary>
    private void Take(TaskCompletionSource<Invocation> question)
    {
        current = given;
        given = null;
        asking = null;
        current!.Deliver();
        question.TrySetResult(current);
    }

    private void Forget(TaskCompletionSource<Invocation> question, CancellationToken gone)
    {
        lock (gate)
        {
            if (asking == question)
            {
                asking = null;
                question.TrySetCanceled(gone);
            }
        }
    }
}

/// <summary>The program could not get ready, in its own words.</summary>
internal sealed class InitException(LambdaAnswer.Failed failure)
    : Exception($"{failure.Type}: {failure.Message}");
