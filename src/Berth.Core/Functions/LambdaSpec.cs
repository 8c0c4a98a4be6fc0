namespace Berth.Core.Functions;

/// <summary>What of a call reaches a Lambda function.</summary>
public enum LambdaEvents
{
    /// <summary>The body is the event, and the answer the body.</summary>
    Raw = 0,

    /// <summary>The event tells the whole HTTP request, and the answer a whole HTTP answer (API Gateway's payload
    /// format 2.0).</summary>
    Http = 1,
}

/// <summary>The lambda contract: instances ask AWS Lambda's Runtime API for one call after the other.</summary>
/// <param name="Handler">Told to the program as <c>_HANDLER</c>; empty where nothing names one.</param>
/// <param name="TaskRoot">Told as <c>LAMBDA_TASK_ROOT</c>; null where the image sets it itself.</param>
public sealed record LambdaSpec(string Handler, LambdaEvents Events, string? TaskRoot)
{
    /// <summary>Of each instance's own loopback.</summary>
    public const int RuntimeApiPort = 9001;

    public const string DefaultTaskRoot = "/var/task";
}
