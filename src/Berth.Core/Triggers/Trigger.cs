using Berth.Core.Runs;

namespace Berth.Core.Triggers;

/// <summary>What a trigger watches.</summary>
/// <param name="Volume">Name of the volume.</param>
/// <param name="Prefix">How paths in it begin that are watched; empty for all.</param>
public sealed record UploadSpec(string Volume, string Prefix);

/// <summary>Calls a function by itself: at times, or when something comes in. One of <paramref name="Clock"/>,
/// <paramref name="Webhook"/>, <paramref name="Events"/> and <paramref name="Upload"/> says when. Each firing is a task
/// of the function. Immutable.</summary>
/// <param name="Id">Of this trigger alone, also when another one gets its name.</param>
/// <param name="Name">By <see cref="Functions.FunctionName"/>'s rule.</param>
/// <param name="Caller">Name of the token that made it, whose its runs are.</param>
/// <param name="Body">Of the clock's calls; null for what tells of the time.</param>
/// <param name="Events">With a webhook of events, and by itself for those that callers with a token send.</param>
/// <param name="Project">The set of files that it comes from; null for none.</param>
public sealed record Trigger(
    RunId Id, string Name, string Function, bool IsPaused, DateTimeOffset CreatedAt, string Caller,
    ClockSpec? Clock = null, string? Body = null, string? ContentType = null, WebhookSpec? Webhook = null,
    EventFilter? Events = null, UploadSpec? Upload = null, string? Project = null)
{
    /// <summary>As it is told: <c>clock</c>, <c>webhook</c>, <c>events</c> or <c>upload</c>.</summary>
    public string Kind => Clock is not null ? "clock" : Webhook is not null ? "webhook"
        : Upload is not null ? "upload" : "events";
}

/// <summary>What became of one time, request, event or file.</summary>
public enum FiringOutcome
{
    /// <summary>It is a run.</summary>
    Fired = 0,

    /// <summary>The run before had not ended.</summary>
    Skipped = 1,

    /// <summary>No server looked at the time.</summary>
    Missed = 2,

    /// <summary>The function can't be called.</summary>
    Failed = 3,
}

/// <summary>One firing of a trigger.</summary>
/// <param name="Key">What it was about: of one trigger, no other firing has the same.</param>
/// <param name="Run">Null where none was made.</param>
/// <param name="Detail">Why not, or which file; null where there is nothing to add.</param>
public sealed record Firing(
    RunId Trigger, string Key, DateTimeOffset At, FiringOutcome Outcome, RunId? Run, string? Detail)
{
    /// <summary>That are remembered of one trigger.</summary>
    public const int Kept = 100;
}
