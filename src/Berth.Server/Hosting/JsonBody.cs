using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Berth.Core.Errors;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace Berth.Server.Hosting;

/// <summary>Reads and writes small JSON bodies.</summary>
internal static class JsonBody
{
    /// <summary>Nothing that is asked for in JSON comes near this.</summary>
    public const int MaxLength = 64 * 1024;

    /// <summary>For what holds variables and command lines.</summary>
    public const int LargeLength = 1024 * 1024;

    /// <summary>Reads the body, which must be JSON of type <typeparamref name="T"/>; throws
    /// <c>UnsupportedMediaType</c>, <c>InvalidRequest</c>, <c>BodyTooLarge</c>.</summary>
    public static async Task<T> ReadAsync<T>(
        HttpContext context, JsonTypeInfo<T> type, int most = MaxLength)
        where T : class
    {
        if (!context.Request.HasJsonContentType())
        {
            throw new BerthException(
                ErrorCode.UnsupportedMediaType,
                $"The body's media type is '{context.Request.ContentType}': "
                + "send JSON with 'Content-Type: application/json'.");
        }

        if (context.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } limit)
        {
            limit.MaxRequestBodySize = most;
        }

        try
        {
            return await JsonSerializer.DeserializeAsync(context.Request.Body, type, context.RequestAborted)
                ?? throw new BerthException(ErrorCode.InvalidRequest, "The body is JSON's null: send an object.");
        }
        catch (JsonException e)
        {
            throw new BerthException(
                ErrorCode.InvalidRequest,
                $"The body is not the JSON that this route takes: {JsonComplaint.About(e, type)}.", e);
        }
    }

    public static Task WriteAsync<T>(
        HttpContext context, T value, JsonTypeInfo<T> type, int status = StatusCodes.Status200OK,
        string mediaType = "application/json")
    {
        ReadOnlyMemory<byte> bytes = JsonText.Of(value, type);
        HttpResponse response = context.Response;
        response.StatusCode = status;
        response.ContentType = mediaType;
        response.ContentLength = bytes.Length;
        response.Headers.XContentTypeOptions = "nosniff";
        return HttpMethods.IsHead(context.Request.Method)
            ? Task.CompletedTask
            : response.Body.WriteAsync(bytes, context.RequestAborted).AsTask();
    }
}
