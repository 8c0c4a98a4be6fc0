using Berth.Core.Errors;

namespace Berth.Server.Calls;

/// <summary>One member of a request as it was given, with the words that name it to whoever gave it.</summary>
/// <param name="Place">Such as <c>The header Berth-Memory</c>, or <c>memory</c> of a document.</param>
/// <param name="Text">Null where it was left out.</param>
internal readonly record struct Asked(string Place, string? Text)
{
    private const int MaxTold = 100;

    /// <summary>A refusal that names the place and the value.</summary>
    public BerthException Refuse(string why) => new(
        ErrorCode.InvalidRequest,
        $"{Place} = '{(Text is { Length: > MaxTold } ? Text[..MaxTold] + "…" : Text)}' can't be used: {why}.");

    /// <summary>Of several values: a refusal that names this one.</summary>
    public BerthException Refuse(string value, string why) => (this with { Text = value }).Refuse(why);
}
