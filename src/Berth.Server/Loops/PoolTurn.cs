using System.Runtime.CompilerServices;

namespace Berth.Server.Loops;

/// <summary>Awaited, the rest runs in the thread pool and beneath nothing of the caller's.</summary>
internal readonly struct PoolTurn : ICriticalNotifyCompletion
{
    public bool IsCompleted => false;

    public PoolTurn GetAwaiter() => this;

    public void GetResult()
    {
    }

    public void OnCompleted(Action continuation) => UnsafeOnCompleted(continuation);

    public void UnsafeOnCompleted(Action continuation) => ThreadPool.UnsafeQueueUserWorkItem(
        static c => c(), continuation, preferLocal: false);
}
