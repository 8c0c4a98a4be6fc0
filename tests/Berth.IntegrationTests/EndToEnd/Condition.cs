using Xunit;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>Waits for what a server, a program or a tool makes true, and says what was seen when it never is.</summary>
internal static class Condition
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan Look = TimeSpan.FromMilliseconds(2);

    public static Task HoldsAsync(string what, Func<bool> holds) =>
        HoldsAsync(what, () => Task.FromResult(holds() ? null : "not so"));

    /// <param name="missing">What is still missing; null when nothing is.</param>
    public static async Task HoldsAsync(string what, Func<Task<string?>> missing)
    {
        long begun = TimeProvider.System.GetTimestamp();
        while (await missing() is { } seen)
        {
            Assert.True(
                TimeProvider.System.GetElapsedTime(begun) < Patience,
                $"After {Patience.TotalSeconds} s still not: {what}. Seen: {seen}");
            await Task.Delay(Look);
        }
    }
}
