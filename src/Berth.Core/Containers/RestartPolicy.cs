using System.Globalization;
using Berth.Core.Errors;

namespace Berth.Core.Containers;

public enum RestartMode
{
    No,

    /// <summary>After an exit code that is not 0, a signal or a fault of the machine.</summary>
    OnFailure,

    /// <summary>Whenever it ends unless somebody stopped it; and with the server, even then.</summary>
    Always,

    /// <summary>As <see cref="Always"/>, but what somebody stopped stays so when the server starts again.</summary>
    UnlessStopped,
}

/// <summary>What follows a program's end. The words and their meaning are docker's.</summary>
/// <param name="MaxRestarts">Of <see cref="RestartMode.OnFailure"/>: how often in a row; null for no end.</param>
public sealed record RestartPolicy(RestartMode Mode, int? MaxRestarts)
{
    private static readonly TimeSpan FirstDelay = TimeSpan.FromMilliseconds(100);

    /// <summary>A program that ran so long has started well: delays and counts begin anew.</summary>
    public static TimeSpan SteadyAfter { get; } = TimeSpan.FromSeconds(10);

    public static TimeSpan LongestDelay { get; } = TimeSpan.FromMinutes(1);

    public static RestartPolicy No { get; } = new(RestartMode.No, null);

    /// <summary>Reads <c>no</c>, <c>on-failure[:N]</c>, <c>always</c> or <c>unless-stopped</c>.</summary>
    /// <exception cref="BerthException">InvalidRequest.</exception>
    public static RestartPolicy Parse(string text)
    {
        const string limited = "on-failure:";
        if (text.StartsWith(limited, StringComparison.Ordinal)
            && int.TryParse(
                text.AsSpan(limited.Length), NumberStyles.None, CultureInfo.InvariantCulture, out int most))
        {
            return new RestartPolicy(RestartMode.OnFailure, most == 0 ? null : most);
        }

        return text switch
        {
            "no" or "" => No,
            "on-failure" => new RestartPolicy(RestartMode.OnFailure, null),
            "always" => new RestartPolicy(RestartMode.Always, null),
            "unless-stopped" => new RestartPolicy(RestartMode.UnlessStopped, null),
            _ => throw new BerthException(
                ErrorCode.InvalidRequest,
                $"'{text}' is no restart policy: expected no, on-failure, on-failure:N, always or unless-stopped."),
        };
    }

    /// <summary>How long after a program's end it is started again; null when it is not.</summary>
    /// <param name="inRow">Restarts before this one since it last ran steadily.</param>
    public TimeSpan? DelayAfter(bool failed, int inRow)
    {
        bool again = Mode switch
        {
            RestartMode.No => false,
            RestartMode.OnFailure => failed && (MaxRestarts is null || inRow < MaxRestarts),
            _ => true,
        };
        if (!again)
        {
            return null;
        }

        TimeSpan delay = FirstDelay * Math.Pow(2, Math.Min(inRow, 20));
        return delay < LongestDelay ? delay : LongestDelay;
    }

    /// <summary>Whether it is started with the server.</summary>
    /// <param name="wasRunning">It ran, or waited for its next start, when the server before ended.</param>
    /// <param name="stopped">Somebody had stopped it.</param>
    public bool StartsWithServer(bool wasRunning, bool stopped, bool failed) => Mode switch
    {
        RestartMode.No => false,
        RestartMode.OnFailure => wasRunning && failed && !stopped,
        RestartMode.Always => wasRunning || stopped,
        _ => wasRunning && !stopped,
    };

    public override string ToString() => Mode switch
    {
        RestartMode.No => "no",
        RestartMode.Always => "always",
        RestartMode.UnlessStopped => "unless-stopped",
        _ => MaxRestarts is { } most
            ? string.Create(CultureInfo.InvariantCulture, $"on-failure:{most}")
            : "on-failure",
    };
}
