namespace Berth.Core.Runs;

/// <summary>A request to a function with instances, kept until its turn comes. The run's input is its body.</summary>
/// <param name="Revision">The one that was chosen when it was accepted.</param>
/// <param name="Target">Path and query for the program, as the caller wrote them.</param>
/// <param name="Fields">Headers for the program in their order, but for those that frame the body.</param>
/// <param name="IsEvent">The body is an event for a function with the lambda contract, whatever that makes of
/// requests.</param>
public sealed record ServiceCall(
    string Function, int Revision, string Method, string Target, IReadOnlyList<HeaderField> Fields,
    bool IsEvent = false);

public sealed record HeaderField(string Name, string Value);

/// <summary>How a program answered over HTTP.</summary>
/// <param name="ContentType">Of what it answered; null where it did not say.</param>
public sealed record ServiceAnswer(int Status, string? ContentType)
{
    private const int Timeout = 408;
    private const int TooEarly = 425;
    private const int TooMany = 429;

    /// <summary>What callers of the program itself would take for done: also an answer that only points
    /// elsewhere.</summary>
    public bool IsSuccess => Status < 400;

    /// <summary>Whether the same request may be answered otherwise later (RFC 9110, section 15).</summary>
    public bool IsPassing => Status is >= 500 or Timeout or TooEarly or TooMany;
}
