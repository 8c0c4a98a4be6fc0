namespace Berth.Core.Errors;

/// <summary>
/// A refusal somebody can act on. The message names the thing, the value and the way out; it is shown to the caller as
/// it is. A defect is never one of these: it is an <see cref="InvalidOperationException"/> or what the runtime throws.
/// </summary>
public sealed class BerthException(ErrorCode code, string message, Exception? inner = null) : Exception(message, inner)
{
    public ErrorCode Code { get; } = code;

    /// <summary>How long to wait before trying again, when that can help; sent as <c>Retry-After</c>.</summary>
    public TimeSpan? RetryAfter { get; init; }
}
