using System.Globalization;
using Berth.Core.Errors;
using Berth.Core.Resources;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Primitives;

namespace Berth.Server.Hosting;

/// <summary>Reads the query of Berth's own routes: each parameter known, given once, and in its range.</summary>
internal sealed class QueryText
{
    private readonly IQueryCollection query;

    /// <param name="known">The parameters that the route takes; another one is refused, so that a misspelt filter never
    /// passes for a wide one.</param>
    public QueryText(HttpRequest request, params ReadOnlySpan<string> known)
    {
        query = request.Query;
        foreach (string name in query.Keys)
        {
            if (!known.Contains(name))
            {
                string all = known.IsEmpty ? "none" : string.Join(", ", known!);
                throw new BerthException(
                    ErrorCode.InvalidRequest, $"This address has no query parameter '{name}'; it takes: {all}.");
            }
        }
    }

    public string? Find(string name) => query.TryGetValue(name, out StringValues values)
        ? values.Count == 1 ? values[0] : throw Refuse(name, values.ToString(), "it is given more than once")
        : null;

    public StringValues FindAll(string name) =>
        query.TryGetValue(name, out StringValues values) ? values : StringValues.Empty;

    public int Number(string name, int least, int most, int fallback)
    {
        if (Find(name) is not { } text)
        {
            return fallback;
        }

        return int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int number)
            && number >= least && number <= most
            ? number
            : throw Refuse(
                name, text,
                string.Create(CultureInfo.InvariantCulture, $"expected a whole number from {least} to {most}"));
    }

    public bool Switch(string name) => Find(name) switch
    {
        null or "false" or "0" => false,
        "true" or "1" or "" => true,
        { } other => throw Refuse(name, other, "expected true or false"),
    };

    public TimeSpan? Span(string name, TimeSpan most)
    {
        if (Find(name) is not { } text)
        {
            return null;
        }

        return Duration.TryParse(text, out TimeSpan span) && span <= most
            ? span
            : throw Refuse(name, text, $"expected at most {Duration.Format(most)}, written such as 500ms, 30s or 5m");
    }

    public static BerthException Refuse(string name, string value, string why) => new(
        ErrorCode.InvalidRequest,
        $"The query parameter {name} = '{(value.Length > 100 ? value[..100] + "…" : value)}' can't be used: {why}.");
}
