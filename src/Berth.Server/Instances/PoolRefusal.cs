using System.Globalization;
using Berth.Core.Errors;

namespace Berth.Server.Instances;

/// <summary>What a call is told that gets no instance.</summary>
internal static class PoolRefusal
{
    private static readonly TimeSpan Soonest = TimeSpan.FromSeconds(1);

    /// <param name="name">Of function and revision.</param>
    public static BerthException Full(string name, int maxWaiting) => new(
        ErrorCode.QueueFull,
        string.Create(
            CultureInfo.InvariantCulture,
            $"{maxWaiting:N0} calls wait for an instance of {name} already: send it again later, or raise max-waiting, "
            + $"concurrency or max-instances."))
    {
        RetryAfter = Soonest,
    };

    /// <summary>The same fault for one more call.</summary>
    public static BerthException Again(BerthException fault, TimeSpan after) => new(fault.Code, fault.Message, fault)
    {
        RetryAfter = after > Soonest ? after : Soonest,
    };
}
