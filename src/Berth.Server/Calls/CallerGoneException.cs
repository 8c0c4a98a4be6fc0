namespace Berth.Server.Calls;

/// <summary>Nobody takes the answer any more. The request itself may be told of that later.</summary>
internal sealed class CallerGoneException() : OperationCanceledException("The caller went away.");
