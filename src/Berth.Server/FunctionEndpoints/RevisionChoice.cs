using System.Globalization;
using System.Security.Cryptography;
using Berth.Core.Errors;
using Berth.Core.Functions;
using Berth.Server.Functions;
using Berth.Server.LambdaEndpoints;
using Microsoft.AspNetCore.Http;

namespace Berth.Server.FunctionEndpoints;

/// <summary>Which revision of a function gets a call.</summary>
internal static class RevisionChoice
{
    private static readonly string[] Roots =
        ["/v1/functions/", "/function/", "/async-function/", AwsApi.Functions + "/"];

    /// <summary>How long a caller keeps the place he was given.</summary>
    private static readonly TimeSpan PlaceAge = TimeSpan.FromDays(1);

    /// <summary><c>NAME</c>, <c>NAME@NUMBER</c> or <c>NAME@TAG</c>. Throws <c>NotFound</c>.</summary>
    /// <param name="call">Whose headers and cookies choose where there are rules for it.</param>
    public static (FunctionEntry Entry, Revision Revision) Choose(
        this FunctionManager functions, string text, HttpContext call)
    {
        int at = text.IndexOf('@', StringComparison.Ordinal);
        FunctionEntry entry = functions.Get(at < 0 ? text : text[..at]);
        Function function = entry.Record;
        if (at < 0)
        {
            TrafficSplit traffic = function.Traffic;
            int chosen = (traffic.Matches.Count == 0 ? null : traffic.Met(new CallWords(call.Request.Headers)))
                ?? traffic.Whole
                ?? traffic.At(traffic.IsSticky ? Place(call, function.Name) : Point());
            return (entry, function.Find(chosen)!);
        }

        string wanted = text[(at + 1)..];
        bool numbered = int.TryParse(wanted, NumberStyles.None, CultureInfo.InvariantCulture, out int number);
        if (!numbered && !function.Traffic.Tags.TryGetValue(wanted, out number))
        {
            string tags = function.Traffic.Tags.Count == 0 ? "none" : string.Join(", ", function.Traffic.Tags.Keys);
            throw new BerthException(
                ErrorCode.NotFound,
                $"Function '{function.Name}' has no tag '{(wanted.Length > FunctionName.MaxLength ? "…" : wanted)}'; "
                + $"its tags are: {tags}.");
        }

        return (entry, function.Find(number) ?? throw FunctionSteps.NoRevision(function, number));
    }

    /// <summary>That of the caller's cookie; who brings none is given one.</summary>
    private static double Place(HttpContext call, string function)
    {
        IReadOnlyList<string> brought = CallWords.CookiesOf(call.Request.Headers, TrafficPoint.Cookie);
        if (brought.Count > 0 && TrafficPoint.Parse(brought[0]) is { } kept)
        {
            return TrafficPoint.Point(kept);
        }

        int place = RandomNumberGenerator.GetInt32(TrafficPoint.Count);
        call.Response.Cookies.Append(
            TrafficPoint.Cookie, TrafficPoint.Format(place),
            new CookieOptions
            {
                Path = RootOf(call, function),
                HttpOnly = true,
                SameSite = SameSiteMode.Lax,
                MaxAge = PlaceAge,
                Secure = call.Request.IsHttps,
            });
        return TrafficPoint.Point(place);
    }

    /// <summary>Path of the function as its callers see it, so that the cookie is this function's alone.</summary>
    private static string RootOf(HttpContext call, string function) => HostedCall.Is(call) ? "/"
        : Array.Find(Roots, r => call.Request.Path.Value!.StartsWith(r, StringComparison.OrdinalIgnoreCase)) is { } root
            ? root + function
            : "/";

    private static double Point() => RandomNumberGenerator.GetInt32(int.MaxValue) / (double)int.MaxValue;
}
