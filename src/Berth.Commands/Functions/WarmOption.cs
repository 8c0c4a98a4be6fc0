using System.CommandLine;
using System.Globalization;
using Berth.Api.Functions;
using Berth.Core.Errors;

namespace Berth.Commands.Functions;

/// <summary><c>--warm</c>: a span that comes again, in which instances are kept without calls.</summary>
internal sealed class WarmOption : Option<string[]>
{
    private const string Form = "start=CRON; end=CRON; zone=ZONE; min=N";

    public WarmOption()
        : base("--warm")
    {
        HelpName = $"'{Form}'";
        Description = "Keep N instances without calls from each time of one cron line to the next of the other "
            + "(repeatable; zone is UTC if not given)";
        AllowMultipleArgumentsPerToken = false;
    }

    /// <summary>Null where none was given.</summary>
    public IReadOnlyList<WarmSpan>? Read(Session session) =>
        session.Get(this) is { Length: > 0 } given ? [.. given.Select(Parse)] : null;

    private static WarmSpan Parse(string text)
    {
        WarmSpan span = new();
        foreach (string part in text.Split(';', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
        {
            int equals = part.IndexOf('=', StringComparison.Ordinal);
            string value = part[(equals + 1)..].Trim();
            span = (equals < 0 ? "" : part[..equals].TrimEnd()) switch
            {
                "start" when span.Start is null => span with { Start = value },
                "end" when span.End is null => span with { End = value },
                "zone" when span.Zone is null => span with { Zone = value },
                "min" when span.Min is null && int.TryParse(
                    value, NumberStyles.None, CultureInfo.InvariantCulture, out int min) => span with { Min = min },
                _ => throw Refuse(text),
            };
        }

        return span is { Start: not null, End: not null, Min: not null } ? span : throw Refuse(text);
    }

    private static BerthException Refuse(string text) => new(
        ErrorCode.InvalidRequest,
        $"--warm: '{text}' is not of the form {Form}: write for instance 'start=0 8 * * 1-5; end=0 18 * * 1-5; "
        + "zone=Europe/Berlin; min=3'.");
}
