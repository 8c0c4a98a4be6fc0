using Xunit;

namespace Berth.Tests.Edge;

/// <summary>Whatever is hostile is answered or refused in the end: what takes longer than this hangs. Many times what a
/// busy machine needs; it measures nothing.</summary>
internal static class HangGuard
{
    public static readonly TimeSpan Limit = TimeSpan.FromSeconds(15);

    /// <summary>Does work that cannot be interrupted for each number in turn, and names the one that hangs.</summary>
    public static async Task ForEachAsync(int count, string what, Action<int> act)
    {
        int at = -1;
        Task work = Task.Run(() =>
        {
            for (int number = 0; number < count; number++)
            {
                Volatile.Write(ref at, number);
                act(number);
            }
        });
        int before;
        do
        {
            before = Volatile.Read(ref at);
            await Task.WhenAny(work, Task.Delay(Limit, TimeProvider.System, TestContext.Current.CancellationToken));
        }
        while (!work.IsCompleted && Volatile.Read(ref at) != before);

        Assert.True(work.IsCompleted, $"{what} {before} is not done with after {Limit.TotalSeconds} s.");
        await work;
    }
}
