using System.IO.Pipelines;
using System.Runtime.CompilerServices;

namespace Berth.Api.Links;

/// <summary>
/// Runs what a read of a connection has woken. The last of it goes on in the thread that has read, once the next read
/// is under way and is another thread's to take: so a single message wakes nobody twice, and nobody holds up the
/// reading. What else was woken by the same read goes to the pool.
/// </summary>
internal sealed class AfterReading : PipeScheduler
{
    private int reader;
    private Action<object?>? woken;
    private object? state;

    public override void Schedule(Action<object?> action, object? state)
    {
        if (Volatile.Read(ref reader) != Environment.CurrentManagedThreadId)
        {
            ThreadPool.Schedule(action, state);
            return;
        }

        if (woken is not null)
        {
            ThreadPool.Schedule(woken, this.state);
        }

        (woken, this.state) = (action, state);
    }

    /// <summary>This thread takes what was read.</summary>
    public void Begin() => Volatile.Write(ref reader, Environment.CurrentManagedThreadId);

    /// <summary>It has taken all, and reads on: to be awaited at once.</summary>
    public Next Then(ValueTask<int> read)
    {
        Volatile.Write(ref reader, 0);
        return new Next(this, read);
    }

    /// <summary>Nothing more is read.</summary>
    public void End()
    {
        Volatile.Write(ref reader, 0);
        RunElsewhere();
    }

    private void RunElsewhere()
    {
        if (Take() is (var last, var of) && last is not null)
        {
            ThreadPool.Schedule(last, of);
        }
    }

    private (Action<object?>? Woken, object? State) Take()
    {
        (Action<object?>? Woken, object? State) taken = (woken, state);
        (woken, state) = (null, null);
        return taken;
    }

    /// <summary>The next read, and what is done while it waits.</summary>
    internal readonly struct Next(AfterReading owner, ValueTask<int> read) : ICriticalNotifyCompletion
    {
        private readonly ConfiguredValueTaskAwaitable<int>.ConfiguredValueTaskAwaiter awaiter =
            read.ConfigureAwait(false).GetAwaiter();

        public bool IsCompleted
        {
            get
            {
                if (!awaiter.IsCompleted)
                {
                    return false;
                }

                owner.RunElsewhere();
                return true;
            }
        }

        public Next GetAwaiter() => this;

        public int GetResult() => awaiter.GetResult();

        public void OnCompleted(Action continuation) => UnsafeOnCompleted(continuation);

        public void UnsafeOnCompleted(Action continuation)
        {
            // Before the continuation can run, in another thread: what is woken then is its own.
            (Action<object?>? woken, object? state) = owner.Take();
            awaiter.UnsafeOnCompleted(continuation);
            woken?.Invoke(state);
        }
    }
}
