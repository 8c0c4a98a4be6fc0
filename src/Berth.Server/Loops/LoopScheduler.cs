using System.IO.Pipelines;

namespace Berth.Server.Loops;

/// <summary>Where what waited for a connection's bytes goes on: in the thread that brought them, or, while the request
/// there may block, in the thread pool.</summary>
internal sealed class LoopScheduler : PipeScheduler
{
    private volatile bool usesPool;

    public bool UsesPool
    {
        get => usesPool;
        set => usesPool = value;
    }

    public override void Schedule(Action<object?> action, object? state)
    {
        if (usesPool)
        {
            System.Threading.ThreadPool.UnsafeQueueUserWorkItem(action, state, preferLocal: false);
        }
        else
        {
            action(state);
        }
    }
}
