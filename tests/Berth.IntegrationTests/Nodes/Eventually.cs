using Xunit;

namespace Berth.IntegrationTests.Nodes;

/// <summary>Waits for something that another process or the background makes true.</summary>
internal static class Eventually
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan Look = TimeSpan.FromMilliseconds(10);

    public static async Task BecomesTrueAsync(Func<bool> condition, string what)
    {
        long begun = TimeProvider.System.GetTimestamp();
        while (!condition())
        {
            Assert.True(TimeProvider.System.GetElapsedTime(begun) < Patience,
                $"After {Patience.TotalSeconds} s still not: {what}.");
            await Task.Delay(Look);
        }
    }
}
