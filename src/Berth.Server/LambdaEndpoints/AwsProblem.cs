using System.Text.Json.Serialization;
using Berth.Api.Errors;
using Berth.Core.Errors;
using Berth.Server.Hosting;
using Microsoft.AspNetCore.Http;

namespace Berth.Server.LambdaEndpoints;

/// <summary>Refusals in the form that clients of AWS Lambda read: the kind in a header, the sentence in JSON.</summary>
internal static class AwsProblem
{
    public static Task WriteAsync(HttpContext context, BerthException refusal)
    {
        (int status, string type) = KindOf(refusal);
        return WriteAsync(context, status, type, refusal.Message);
    }

    public static Task WriteAsync(HttpContext context, int status, string type, string message)
    {
        IHeaderDictionary headers = context.Response.Headers;
        headers["x-amzn-ErrorType"] = type;
        headers.CacheControl = "no-store";
        string whose = status < StatusCodes.Status500InternalServerError ? "User" : "Service";
        return JsonBody.WriteAsync(
            context, new AwsProblemDocument(whose, message), AwsProblemJson.Default.AwsProblemDocument, status);
    }

    private static (int Status, string Type) KindOf(BerthException refusal) => refusal.Code switch
    {
        ErrorCode.NotFound => (StatusCodes.Status404NotFound, "ResourceNotFoundException"),
        ErrorCode.Unauthorized => (StatusCodes.Status403Forbidden, "UnrecognizedClientException"),
        ErrorCode.Forbidden => (StatusCodes.Status403Forbidden, "AccessDeniedException"),
        ErrorCode.BodyTooLarge => (StatusCodes.Status413PayloadTooLarge, "RequestTooLargeException"),
        ErrorCode.QueueFull => (StatusCodes.Status429TooManyRequests, "TooManyRequestsException"),
        // It waited for an instance all the time.
        ErrorCode.RunTimedOut => (StatusCodes.Status429TooManyRequests, "TooManyRequestsException"),
        _ => KindOf(ErrorCatalog.Find(refusal.Code).Status),
    };

    private static (int Status, string Type) KindOf(int status) => (
        status,
        status < StatusCodes.Status500InternalServerError ? "InvalidParameterValueException" : "ServiceException");
}

/// <param name="Type">Whose fault it is: User or Service.</param>
internal sealed record AwsProblemDocument(
    [property: JsonPropertyName("Type")] string Type, [property: JsonPropertyName("Message")] string Message);

[JsonSerializable(typeof(AwsProblemDocument))]
internal sealed partial class AwsProblemJson : JsonSerializerContext;
