using System.IO.Pipelines;
using Microsoft.AspNetCore.Http;

namespace Berth.Server.Lambda;

/// <summary>What a function's program made of an event.</summary>
internal abstract record LambdaAnswer
{
    /// <param name="ContentType">As the runtime told it; null where it did not.</param>
    internal sealed record Whole(string? ContentType, ReadOnlyMemory<byte> Body) : LambdaAnswer;

    /// <summary>The handler failed.</summary>
    /// <param name="Document">JSON with errorMessage and errorType, as callers get it.</param>
    internal sealed record Failed(string Type, string Message, ReadOnlyMemory<byte> Document) : LambdaAnswer;

    /// <summary>An answer that comes while it is made. Whoever got it reads it to its end and finishes it.</summary>
    internal sealed record Streamed(string? ContentType, AnswerStream Stream) : LambdaAnswer;
}

/// <summary>The body of the runtime's request that brings a streamed answer.</summary>
internal sealed class AnswerStream(HttpRequest request)
{
    /// <summary>Trailers of a stream that the handler broke off.</summary>
    public const string ErrorType = "Lambda-Runtime-Function-Error-Type";
    private const string ErrorBody = "Lambda-Runtime-Function-Error-Body";

    private readonly TaskCompletionSource finished = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public PipeReader Body => request.BodyReader;

    /// <summary>Completes when nobody reads it any more.</summary>
    public Task Finished => finished.Task;

    public bool IsFinished => finished.Task.IsCompleted;

    /// <summary>Once the body has ended: how the handler failed after it had begun to answer; null when it didn't.
    /// </summary>
    public LambdaAnswer.Failed? Failure() =>
        request.CheckTrailersAvailable() && request.GetTrailer(ErrorType) is { Count: > 0 } type
            ? FunctionError.Of(type.ToString(), DecodeBody(request.GetTrailer(ErrorBody).ToString()))
            : null;

    public void Finish() => finished.TrySetResult();

    private static ReadOnlyMemory<byte> DecodeBody(string text)
    {
        byte[] bytes = new byte[text.Length];
        return Convert.TryFromBase64String(text, bytes, out int count) ? bytes.AsMemory(0, count) : default;
    }
}
