using Berth.Core.Errors;
using Xunit;

namespace Berth.Tests.Archives;

/// <summary>
/// What refusing a hostile archive or layer may cost. The limits are generous: they find what hangs or grows, not what
/// is slow. For tests of the collection <c>memory</c>, since the memory of the whole process is looked at.
/// </summary>
internal static class HostileBounds
{
    private const long MostMemory = 64L * 1024 * 1024;

    /// <summary>What is measured by hand is 5 s; a busy machine takes several times that.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    /// <summary>The refusal, which came in time and with little memory alive on the way.</summary>
    public static async Task<BerthException> RefusalAsync(Func<CancellationToken, Task> act)
    {
        using CancellationTokenSource limit = new(Patience);
        long before = GC.GetTotalMemory(forceFullCollection: true);
        using Peak peak = new();
        BerthException refusal = await Assert.ThrowsAsync<BerthException>(() => act(limit.Token));
        Assert.InRange(peak.Bytes - before, long.MinValue, MostMemory);
        return refusal;
    }

    /// <summary>The most that was alive while it was there, looked at every few milliseconds.</summary>
    private sealed class Peak : IDisposable
    {
        private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(20);

        private readonly Timer timer;
        private long bytes;

        public Peak() => timer = new Timer(_ => Look(), null, Pause, Pause);

        public long Bytes => Interlocked.Read(ref bytes);

        public void Dispose() => timer.Dispose();

        private void Look() => Interlocked.Exchange(
            ref bytes, Math.Max(Interlocked.Read(ref bytes), GC.GetTotalMemory(forceFullCollection: true)));
    }
}

/// <summary>Tests that look at the memory of the whole process: alone.</summary>
[CollectionDefinition("memory", DisableParallelization = true)]
public sealed class MemoryCollection;
