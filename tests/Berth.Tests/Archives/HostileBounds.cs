using Berth.Core.Errors;
using Xunit;

namespace Berth.Tests.Archives;

/// <summary>
/// A refusal that comes. What it costs is measured in a process of its own, by <c>HostileCostTests</c>; this only ends
/// what hangs.
/// </summary>
internal static class HostileBounds
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    public static async Task<BerthException> RefusalAsync(Func<CancellationToken, Task> act)
    {
        using CancellationTokenSource limit = new(Patience);
        return await Assert.ThrowsAsync<BerthException>(() => act(limit.Token));
    }
}
