using System.Globalization;
using Berth.Api.Errors;
using Berth.Api.Runs;
using Berth.Core.Errors;
using Berth.Server.Hosting;
using Berth.Server.LambdaEndpoints;
using Microsoft.AspNetCore.Http;

namespace Berth.Server.Problems;

/// <summary>Writes refusals as RFC 9457 problem documents.</summary>
internal static class ProblemWriter
{
    public const string MediaType = "application/problem+json";

    /// <summary>The problem document of a refusal.</summary>
    public static Problem Describe(ErrorCode code, string detail)
    {
        ErrorEntry entry = ErrorCatalog.Find(code);
        return new Problem("urn:berth:error:" + entry.Code, entry.Title, entry.Status, detail, entry.Code);
    }

    public static Task WriteAsync(HttpContext context, BerthException refusal)
    {
        if (refusal.RetryAfter is { } wait)
        {
            context.Response.Headers.RetryAfter =
                Math.Max(1, (long)Math.Ceiling(wait.TotalSeconds)).ToString(CultureInfo.InvariantCulture);
        }

        if (AwsApi.IsCalledBy(context.Request))
        {
            return AwsProblem.WriteAsync(context, refusal);
        }

        if (refusal.Code == ErrorCode.Unauthorized)
        {
            context.Response.Headers.WWWAuthenticate = "Bearer realm=\"berth\"";
        }

        return WriteAsync(context, Describe(refusal.Code, refusal.Message));
    }

    public static Task WriteAsync(HttpContext context, Problem problem)
    {
        context.Response.Headers.CacheControl = "no-store";
        return JsonBody.WriteAsync(context, problem, RunJson.Default.Problem, problem.Status, MediaType);
    }

    /// <summary>What Kestrel refused, in Berth's words.</summary>
    public static BerthException Translate(BadHttpRequestException exception) => exception.StatusCode switch
    {
        StatusCodes.Status413PayloadTooLarge => new(
            ErrorCode.BodyTooLarge,
            "The body is larger than this route takes; the operator's settings body-limit, input-limit and "
            + "upload-limit decide.", exception),
        StatusCodes.Status408RequestTimeout => new(
            ErrorCode.RequestTimeout,
            "The body came more slowly than this route waits for: send at least 240 bytes a second.", exception),
        _ => new(ErrorCode.InvalidRequest, "The request is not valid HTTP: " + exception.Message, exception),
    };
}
